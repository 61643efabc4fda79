"""The allow-list as a file: what it is replaced by, and what a running gateway makes of one that it cannot use."""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge.commands import keys_cli
from edge.errors import ConfigError
from edge.wire import allow
from edge.wire.allow import AllowFile, Binding, change_allowed, read_allowed, write_allowed
from edge.wire.keys import generate, read_public, read_secret, write_pair

BINDING = Binding(generate().public, "station-1", 0)
PATIENCE_S = 5.0


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an allow-list that is looked at often."""
    monkeypatch.setattr(allow, "POLL_S", 0.02)
    made = tmp_path / "allow.toml"
    write_allowed(made, [BINDING])
    return made


def until(done: Callable[[], bool]) -> bool:
    """Wait until ``done``, and return whether it was."""
    end = time.monotonic() + PATIENCE_S
    while not done() and time.monotonic() < end:
        time.sleep(0.01)
    return done()


def allowed(file: AllowFile) -> bool:
    return file.rights.of_key(BINDING.key) is not None


def numbers(path: Path) -> None:
    path.write_text("[[allow]]\nlane = " + "9" * 5000 + "\n")


def depths(path: Path) -> None:
    path.write_text("x = " + "[" * 100_000 + "\n")


def length(path: Path) -> None:
    path.write_text(path.read_text() + "#" * (1 << 20))


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("breaks", [numbers, depths, length, fifo, folder])
def test_a_list_of_any_kind_that_is_none_lets_nobody_speak_and_a_later_one_counts(
    path: Path, breaks: Callable[[Path], None]
) -> None:
    with closing(AllowFile(path)) as file:
        assert allowed(file)
        breaks(path)
        assert until(lambda: not allowed(file))
        path.rmdir() if path.is_dir() else path.unlink()
        write_allowed(path, [BINDING])
        assert until(lambda: allowed(file)), "the thread lives"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("way", ["hangs", "dies"])
def test_a_list_that_nobody_looks_at_any_more_lets_nobody_speak(
    path: Path, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert allow.STALE_NS <= 2_000_000_000
    monkeypatch.setattr(allow, "STALE_NS", 200_000_000)
    go = threading.Event()

    def stalled(_: Path) -> tuple[bytes, os.stat_result]:
        go.wait(PATIENCE_S)
        raise RuntimeError

    with closing(AllowFile(path)) as file:
        monkeypatch.setattr(allow, "read_file", stalled)
        if way == "dies":
            go.set()
        assert until(lambda: not allowed(file))
        assert not allowed(file)
        go.set()
    said = [r for r in caplog.records if r.levelno == logging.ERROR and "cannot be looked at" in r.message]
    assert len(said) == 1


def test_owner_group_and_mode_of_a_list_stay(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, 54321, 54322)
    path.chmod(0o640)
    before = path.stat()
    write_allowed(path, [])
    after = path.stat()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)


def test_a_link_to_a_list_stays_one(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    write_allowed(link, [])
    assert link.is_symlink()
    assert not read_allowed(path).bindings


def test_of_two_changes_at_a_time_neither_is_lost(path: Path) -> None:
    reading, go = threading.Event(), threading.Event()

    def slowly(bindings: tuple[Binding, ...]) -> list[Binding]:
        reading.set()
        go.wait(PATIENCE_S)
        return [*bindings, Binding(generate().public, "station-2", 0)]

    first = threading.Thread(target=change_allowed, args=(path, slowly))
    first.start()
    assert reading.wait(PATIENCE_S)
    second = threading.Thread(target=keys_cli.revoke, args=(path, BINDING.key))
    second.start()
    time.sleep(0.1)
    go.set()
    first.join()
    second.join()
    assert [b.station for b in read_allowed(path).bindings] == ["station-2"], "added, and the other one revoked"
    assert [p.name for p in path.parent.iterdir()] == ["allow.toml"]


def test_a_change_lasts_through_a_power_cut(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(stat.S_ISDIR(os.fstat(fd).st_mode)))
    write_allowed(path, [])
    assert synced == [False, True], "the file, and then the folder that names it"


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_a_gateways_public_key_that_others_may_change_is_refused(mode: int, tmp_path: Path) -> None:
    _, public = write_pair(generate(), "gateway", tmp_path)
    assert read_public(public)
    public.chmod(mode)
    with pytest.raises(ConfigError, match=f"{mode:04o}"):
        read_public(public)


def test_a_gateways_public_key_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, public = write_pair(generate(), "gateway", tmp_path)
    if os.geteuid() == 0:
        os.chown(public, 54321, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(ConfigError, match="belongs to user"):
        read_public(public)


def test_forty_characters_that_are_no_key_are_refused(tmp_path: Path) -> None:
    pair = generate()
    secret, public = write_pair(pair, "a", tmp_path)
    secret.write_text(f'public = "{pair.public}"\nsecret = "{"#" * 40}"\n')
    public.write_text(f'public = "{"#" * 40}"\n')
    for read, path in ((read_secret, secret), (read_public, public)):
        with pytest.raises(ConfigError, match="holds no key"):
            read(path)


def test_a_key_that_could_not_be_written_whole_is_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device", "a.key")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space"):
        write_pair(generate(), "a", tmp_path)
    assert not list(tmp_path.iterdir())
