"""The parts of `edge install` that need no machine: what is refused, configurations made of examples, the record."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import config
from edge.commands import install, install_config, install_record, install_sources
from edge.commands.config_edit import meaning
from edge.commands.install_layout import LINE_NAME, Wanted
from edge.errors import ConfigError, InstallError


@pytest.mark.parametrize("path", ["/home/me/edge/bin/edge", "/root/edge", "/tmp/edge", "relative/edge", "/var/tmp/x"])
def test_what_services_cannot_see_is_refused(path: str) -> None:
    with pytest.raises(InstallError, match="cannot see"):
        Wanted("line-1", ("gateway",), PurePosixPath(path), PurePosixPath("/opt/edge/models"))
    with pytest.raises(InstallError, match="cannot see"):
        Wanted("line-1", ("gateway",), PurePosixPath("/opt/edge/bin/edge"), PurePosixPath(path))


@pytest.mark.parametrize("path", ["/opt/my edge/bin/edge", "/opt/100%/edge", '/opt/"/edge', "/opt/$HOME/edge"])
def test_a_path_that_a_unit_would_read_otherwise_is_refused(path: str) -> None:
    with pytest.raises(InstallError, match="units read otherwise"):
        Wanted("line-1", ("gateway",), PurePosixPath(path), PurePosixPath("/opt/edge/models"))


def test_a_python_that_services_cannot_see_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as uv's, which `uv venv` as root links to from below /root."""
    home, program = tmp_path / "home", tmp_path / "opt" / "edge"
    for file in (home / "python3.11", program):
        file.parent.mkdir()
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    (program.parent / "python").symlink_to(home / "python3.11")
    monkeypatch.setattr(install, "HIDDEN", (str(home),))
    with pytest.raises(InstallError, match="hidden from services"):
        install.check_program(program)


def test_a_program_that_others_may_not_reach_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "HIDDEN", ())  # pytest's folders are in /tmp
    program = tmp_path / "shut" / "edge"
    program.parent.mkdir(mode=0o700)
    program.write_text("#!/bin/sh\n")
    with pytest.raises(InstallError, match="no program"):
        install.check_program(program)
    program.chmod(0o755)
    with pytest.raises(InstallError, match="closed"):
        install.check_program(program)
    with pytest.raises(InstallError):
        install.check_program(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a b", "a@b", "a/b", "..", "a" * 33, "ä"])
def test_names_that_make_no_unit_are_refused(name: str) -> None:
    with pytest.raises(InstallError, match="cannot name"):
        Wanted(name, (), PurePosixPath("/opt/e"), PurePosixPath("/opt/m"))


@given(st.from_regex(LINE_NAME, fullmatch=True).filter(str.isascii))
def test_every_name_leaves_room_for_its_sockets(line: str) -> None:
    """107 bytes is what the kernel takes; the lock beside a socket has six more than its name."""
    places = install_config.Places(line)
    text = install_config.gateway(install_sources.read("config", "gateway.toml"), places)
    gateway = config.parse(meaning(text, "test"), config.GatewayConfig, "test")
    assert gateway.control.path is not None
    assert len(gateway.control.path) + 6 <= 107


def test_an_example_without_a_place_for_a_value_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no place for"):
        install_config.gateway('name = "x"\n', install_config.Places("line-1"))


def test_the_files_are_found_in_a_checkout_and_in_an_environment(tmp_path: Path) -> None:
    checkout, shared = tmp_path / "checkout", tmp_path / "share"
    with pytest.raises(ConfigError, match="systemd"):
        install_sources.folder("systemd", checkout, shared)
    (shared / "systemd").mkdir(parents=True)
    assert install_sources.folder("systemd", checkout, shared) == shared / "systemd"
    (checkout / "systemd").mkdir(parents=True)
    assert install_sources.folder("systemd", checkout, shared) == checkout / "systemd"


def test_a_wheel_carries_what_is_installed() -> None:
    repository = Path(__file__).resolve().parents[2]
    built = meaning((repository / "pyproject.toml").read_text(), "pyproject.toml")["tool"]["setuptools"]["data-files"]
    for name, needed in (
        ("systemd", {"edge.sysusers.conf", *(f"edge-{role}@.service" for role in ("station", "gateway", "monitor"))}),
        ("udev", {"60-edge.rules"}),
        ("config", {"station.toml", "gateway.toml", "monitor.toml"}),
    ):
        carried = {path.name for pattern in built[f"share/edge/{name}"] for path in repository.glob(pattern)}
        assert needed <= carried


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    entries = [
        install_record.Entry("file", "/etc/x", sha256="0" * 64),
        install_record.Entry("data", "/var/y", "line-1"),
    ]
    install_record.write(tmp_path, entries)
    assert install_record.read(tmp_path) == entries
    install_record.write(tmp_path, [])
    assert install_record.read(tmp_path) == []
