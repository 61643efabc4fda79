"""What the service manager is told, over real datagram sockets, and when the watchdog is fed."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import logs
from edge.clock import NS_PER_MS, NS_PER_S
from edge.config import LimitsConfig
from edge.gateway import progress as gateway_progress
from edge.monitor import progress as monitor_progress
from edge.notify import Notifier
from edge.progress import Progress
from edge.station import progress as station_progress
from edge.watchdog import LOOK_NS, Feeder


@contextlib.contextmanager
def manager(address: str) -> Iterator[socket.socket]:
    """Listen as a service manager does; ``@NAME`` is in the abstract namespace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + address[1:] if address.startswith("@") else address)
        listener.settimeout(1.0)
        yield listener


def said(listener: socket.socket) -> list[str]:
    """Return the lines of the next message."""
    return listener.recv(4096).decode().split("\n")


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return an address of either kind."""
    return str(tmp_path / "notify") if request.param == "path" else f"@edge-test-{os.getpid()}"


def test_each_word_is_one_datagram_of_its_own(address: str) -> None:
    with manager(address) as listener, contextlib.closing(Notifier(address, 5 * NS_PER_S)) as notifier:
        assert notifier.ready("STARTING: no session yet")
        assert said(listener) == ["READY=1", "STATUS=STARTING: no session yet"]
        assert notifier.alive("RUNNING")
        assert said(listener) == ["WATCHDOG=1", "STATUS=RUNNING"]
        assert notifier.status("hung: camera")
        assert said(listener) == ["STATUS=hung: camera"]
        assert notifier.stopping(15.0)
        assert said(listener) == ["STOPPING=1", "WATCHDOG_USEC=15000000"]


def test_a_text_cannot_say_more_than_a_status(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with manager(address) as listener, contextlib.closing(Notifier(address)) as notifier:
        notifier.status("the camera\nREADY=1\r\n says\x0bso")
        assert said(listener) == ["STATUS=the camera READY=1 says so"]


def test_without_a_watchdog_the_end_puts_nothing_off(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with manager(address) as listener, contextlib.closing(Notifier(address)) as notifier:
        notifier.stopping(15.0)
        assert said(listener) == ["STOPPING=1"]


def test_the_environment_is_taken_and_left_to_no_child(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": str(os.getpid()), "A": "b"}
    with manager(address) as listener, contextlib.closing(Notifier.from_environment(environment)) as notifier:
        assert environment == {"A": "b"}
        assert notifier.watchdog_ns == 5 * NS_PER_S
        assert notifier.alive("")
        assert said(listener) == ["WATCHDOG=1", "STATUS="]


@pytest.mark.parametrize(
    ("environment", "watchdog_ns"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "5000000"}, 0),
        ({"NOTIFY_SOCKET": "/run/x"}, 0),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "5000000"}, 5 * NS_PER_S),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"}, 0),
        ({"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "soon"}, 0),
        ({"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "5000000"}, 0),
    ],
)
def test_only_a_watchdog_of_this_process_counts(environment: dict[str, str], watchdog_ns: int) -> None:
    with contextlib.closing(Notifier.from_environment(environment)) as notifier:
        assert notifier.watchdog_ns == watchdog_ns


def test_without_a_service_manager_nothing_is_said_and_nothing_fails() -> None:
    notifier = Notifier.from_environment({})
    assert not notifier.ready("RUNNING")
    assert not notifier.stopping(1.0)


def test_a_manager_that_is_gone_or_does_not_read_costs_no_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = str(tmp_path / "notify")
    with contextlib.closing(Notifier(address)) as notifier:
        assert not notifier.alive("nobody is there")
        with manager(address) as listener:
            begun = time.monotonic()
            taken = 0
            while notifier.alive("x" * 1000):
                taken += 1
                assert taken < 10_000, "its buffer never fills"
            assert time.monotonic() - begun < 1.0
            for _ in range(taken):
                said(listener)
            assert notifier.alive("read again")
    assert 2 <= len(caplog.records) <= 3, "each reason once"


# -- progress ---------------------------------------------------------------------------------------------------------

PATIENCE = {"camera": 10 * NS_PER_S, "inspection": 5 * NS_PER_S}


def looks(progress: Progress, start: int, count: int, camera: int | None, inspection: int | None) -> list[str]:
    """Look ``count`` times, a second apart, at the same marks; return what the last look said."""
    stuck: list[str] = []
    for n in range(count):
        stuck = progress.stuck(start + n * NS_PER_S, {"camera": camera, "inspection": inspection})
    return stuck


@pytest.mark.parametrize(("count", "stuck"), [(11, []), (12, ["camera"])])
def test_what_stands_still_is_named_once_its_patience_is_over(count: int, stuck: list[str]) -> None:
    assert looks(Progress(PATIENCE, NS_PER_S), 0, count, camera=7, inspection=None) == stuck


def test_each_has_its_own_patience() -> None:
    assert looks(Progress(PATIENCE, NS_PER_S), 0, 7, camera=7, inspection=3) == ["inspection"]
    assert looks(Progress(PATIENCE, NS_PER_S), 0, 12, camera=7, inspection=3) == ["camera", "inspection"]


def test_what_has_nothing_to_do_is_idle_for_ever() -> None:
    assert looks(Progress(PATIENCE, NS_PER_S), 0, 10_000, camera=None, inspection=None) == []


def test_a_step_and_an_idle_look_both_wipe_the_slate() -> None:
    for wiping in (4, None):
        progress = Progress(PATIENCE, NS_PER_S)
        looks(progress, 0, 6, camera=None, inspection=3)
        looks(progress, 6 * NS_PER_S, 1, camera=None, inspection=wiping)
        assert looks(progress, 7 * NS_PER_S, 5, camera=None, inspection=3) == []


def test_what_moves_again_is_stuck_no_more() -> None:
    progress = Progress(PATIENCE, NS_PER_S)
    assert looks(progress, 0, 7, camera=None, inspection=3) == ["inspection"]
    assert looks(progress, 7 * NS_PER_S, 1, camera=None, inspection=4) == []


def test_a_process_that_was_stopped_for_a_day_blames_nobody() -> None:
    progress = Progress(PATIENCE, NS_PER_S)
    looks(progress, 0, 3, camera=7, inspection=3)
    assert looks(progress, 86_400 * NS_PER_S, 1, camera=7, inspection=3) == []


def test_a_process_that_is_held_up_again_and_again_still_finds_the_culprit() -> None:
    progress = Progress(PATIENCE, NS_PER_S)
    marks = {"camera": 7, "inspection": None}
    assert ["camera"] in [progress.stuck(n * 60 * NS_PER_S, marks) for n in range(8)]


def test_a_name_that_nobody_watches_is_refused() -> None:
    with pytest.raises(ValueError, match="camera"):
        Progress(PATIENCE, NS_PER_S).stuck(0, {"camera": 1})
    with pytest.raises(ValueError, match="too short"):
        Progress({"camera": 2 * NS_PER_S}, NS_PER_S)


@given(st.lists(st.tuples(st.integers(1, 30_000), st.one_of(st.none(), st.integers(0, 2))), max_size=60))
def test_nothing_is_stuck_sooner_than_its_patience(looked: list[tuple[int, int | None]]) -> None:
    """Against a plain account: the time since the last step, or since it was idle."""
    progress, now, since, before = Progress({"camera": 5 * NS_PER_S}, NS_PER_S), 0, 0, None
    for pause_ms, mark in looked:
        now += pause_ms * NS_PER_MS
        if mark is None or mark != before:
            since = now
        before = mark
        if progress.stuck(now, {"camera": mark}):
            assert now - since > 5 * NS_PER_S


@given(st.integers(0, 3000))
def test_what_stands_still_while_looks_are_made_is_found(jitter_ms: int) -> None:
    progress, now = Progress({"camera": 5 * NS_PER_S}, NS_PER_S), 0
    while not progress.stuck(now, {"camera": 1}):
        now += NS_PER_S + jitter_ms * NS_PER_MS
        assert now <= 16 * NS_PER_S


# -- the three processes' own lists -----------------------------------------------------------------------------------


def test_a_station_waits_for_an_inspection_longer_than_it_takes_to_end_itself() -> None:
    patience = station_progress.patience_ns(LimitsConfig(hang_ms=3000))
    assert set(patience) == {"camera", "trigger", "inspection"}
    assert patience["inspection"] == 5 * NS_PER_S
    assert patience["camera"] == patience["trigger"] == 10 * NS_PER_S


@pytest.mark.parametrize("hang_ms", [101.0, 3000.0])
def test_every_list_can_be_watched(hang_ms: float) -> None:
    Progress(station_progress.patience_ns(LimitsConfig(hang_ms=hang_ms)), LOOK_NS)
    Progress(gateway_progress.PATIENCE_NS, LOOK_NS)
    Progress(monitor_progress.PATIENCE_NS, LOOK_NS)


# -- feeding ----------------------------------------------------------------------------------------------------------


def heard(listener: socket.socket) -> list[str]:
    """Return the first line of every message that waits."""
    listener.setblocking(False)
    lines = []
    with contextlib.suppress(BlockingIOError):
        while True:
            lines.append(said(listener)[0])
    return lines


def test_the_watchdog_is_fed_once_a_second_however_often_the_loop_turns(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with manager(address) as listener, contextlib.closing(Notifier(address, 5 * NS_PER_S)) as notifier:
        feeder = Feeder(notifier, PATIENCE, lambda: {"camera": None, "inspection": None}, lambda: "RUNNING")
        for ms in range(0, 3000, 10):
            feeder.turn(ms * NS_PER_MS)
        assert heard(listener) == ["WATCHDOG=1"] * 3


def test_a_short_watchdog_is_fed_three_times_within_it(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with manager(address) as listener, contextlib.closing(Notifier(address, 300 * NS_PER_MS)) as notifier:
        feeder = Feeder(notifier, PATIENCE, lambda: {"camera": None, "inspection": None}, lambda: "RUNNING")
        for ms in range(0, 300, 10):
            feeder.turn(ms * NS_PER_MS)
        assert heard(listener) == ["WATCHDOG=1"] * 3


def test_what_stands_still_starves_the_watchdog_until_it_moves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address, steps, lines = str(tmp_path / "notify"), [0], list[str]()
    with manager(address) as listener, contextlib.closing(Notifier(address, 5 * NS_PER_S)) as notifier:
        feeder = Feeder(notifier, PATIENCE, lambda: {"camera": steps[0], "inspection": None}, lambda: "RUNNING")
        for second in range(20):
            feeder.turn(second * NS_PER_S)
            lines += heard(listener)  # few wait at a time (net.unix.max_dgram_qlen)
        assert lines == ["WATCHDOG=1"] * 11 + ["STATUS=hung: camera stands still"]
        assert [record.levelname for record in caplog.records] == ["CRITICAL"], "said once"
        steps[0] += 1
        feeder.turn(20 * NS_PER_S)
        assert heard(listener) == ["WATCHDOG=1"]


# -- the journal's priorities -----------------------------------------------------------------------------------------


def test_lines_that_go_to_the_journal_carry_their_priority(tmp_path: Path) -> None:
    record = logging.LogRecord("edge.x", logging.WARNING, "", 0, "one\ntwo", None, None)
    with (tmp_path / "stderr").open("wb") as stream:
        status = os.fstat(stream.fileno())
        to_journal = logs._formatter(stream.fileno(), f"{status.st_dev}:{status.st_ino}")
        elsewhere = logs._formatter(stream.fileno(), f"{status.st_dev}:{status.st_ino + 1}")
    assert to_journal.format(record) == "<4>edge.x: one\n<4>two"
    assert "WARNING edge.x: one" in elsewhere.format(record)
    for level, priority in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.INFO, 6), (logging.DEBUG, 7)):
        record.levelno = level
        assert to_journal.format(record).startswith(f"<{priority}>")
