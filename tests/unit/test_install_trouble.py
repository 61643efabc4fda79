"""`edge install` and `edge uninstall` where something went wrong, or a person has been there before."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.commands import install_items, install_sources
from edge.errors import InstallError
from tests.support_install import ETC, VAR, accounts, empty_machine, everything, run

pytestmark = pytest.mark.deploy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty machine's root."""
    return empty_machine(tmp_path)


def test_an_update_that_fails_halfway_is_one_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(root, "install", "line-1", "--yes")
    read = install_sources.read
    monkeypatch.setattr(install_sources, "read", lambda name, file: read(name, file) + "# new\n")
    with monkeypatch.context() as full:
        full.setattr(install_items, "put", raises_no_space)
        assert "No space left" in run(root, "install", "line-1", "--yes", code=InstallError.exit_code)
    said = run(root, "install", "line-1", "--yes")
    assert "changed by hand" not in said
    assert said.count("as this version has it") == 5
    run(root, "uninstall", "--yes")
    assert not list((root / "etc/systemd/system").iterdir())


def raises_no_space(path: Path, *_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def test_an_update_that_was_not_noted_any_more_is_noted_the_next_time(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    record = root / "var/lib/edge/install.json"
    unit = root / "etc/systemd/system/edge-station@.service"
    record.write_text(record.read_text().replace(hashlib.sha256(unit.read_bytes()).hexdigest(), "0" * 64))
    assert f"/{unit.relative_to(root)}  (on record)" in run(root, "install", "line-1", "--yes")
    run(root, "uninstall", "--yes")
    assert not unit.exists()


def test_what_was_left_half_made_is_finished(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    before = everything(root)
    for name, mode in ((ETC, 0o700), (f"{VAR}/evidence", 0o700), (f"{ETC}/keys/station-line-1.key", 0o600)):
        os.chown(root / name, 0, 0)
        (root / name).chmod(mode)
    assert run(root, "install", "line-1", "--yes").count("half made") == 3
    assert everything(root) == before


@pytest.mark.parametrize("before", [0o077, 0o027])
def test_folders_on_the_way_are_everybodys_to_read(root: Path, before: int) -> None:
    found = os.umask(before)
    try:
        run(root, "install", "line-1", "--yes")
    finally:
        os.umask(found)
    for name in ("etc/systemd/system", "etc/udev/rules.d", "etc/sysusers.d", "etc/edge", "var/lib/edge", "var/cache"):
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o755, name


def configured_before(root: Path) -> None:
    (root / ETC).mkdir(parents=True)
    (root / ETC / "station.toml").write_text("# Ansible's\n")
    run(root, "install", "line-1", "--yes")


def moved_away(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    (root / ETC / "station.toml").rename(root / "station.toml")


@pytest.mark.parametrize("happens", [configured_before, moved_away])
def test_keys_that_may_be_in_use_stay(root: Path, happens: Callable[[Path], None]) -> None:
    happens(root)
    run(root, "uninstall", "--yes")
    assert (root / ETC / "keys/station-line-1.key").exists()
    assert "edge" in accounts(root), "whose it is"
    run(root, "uninstall", "--yes", "--purge-settings")
    assert not (root / ETC / "keys").exists()


def test_the_cache_goes_with_what_is_in_it(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    kernels = root / "var/cache/edge/line-1/cuda/kernel"
    kernels.parent.mkdir()
    kernels.write_text("compiled")
    run(root, "uninstall", "--yes")
    assert not (root / "var/cache/edge").exists()


def test_a_link_to_another_disk_is_not_followed(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    disk, evidence = root / "disk", root / VAR / "evidence"
    disk.mkdir()
    (disk / "1.jpg").write_text("picture")
    evidence.rmdir()
    evidence.symlink_to(disk)
    assert "a link: yours" in run(root, "uninstall", "--yes", "--purge-data")
    assert (disk / "1.jpg").exists()
    assert "edge" in accounts(root), "whose the pictures are"
    assert not (root / VAR / "station").exists()


def test_a_disk_that_is_mounted_there_is_emptied_and_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(root, "install", "line-1", "--yes")
    evidence = root / VAR / "evidence"
    (evidence / "lost+found").mkdir()
    (evidence / "2026-11-22").mkdir()
    (evidence / "2026-11-22" / "1.jpg").write_text("picture")
    monkeypatch.setattr(Path, "is_mount", lambda path: path in (evidence, root / "var/lib/edge"))
    assert "a mount point, which stays" in run(root, "uninstall", "--yes", "--purge-data")
    assert [path.name for path in evidence.iterdir()] == ["lost+found"]
    assert (evidence.stat().st_uid, evidence.stat().st_gid) == (0, 0), "nobody inherits it"
    assert "edge" not in accounts(root)
