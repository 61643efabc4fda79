"""The evidence thread: what becomes of frames, of slots and of pictures when disk, index or encoder fail."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.clock import NS_PER_S
from edge.core.alarms import ALARMS
from edge.core.pool import Purpose
from edge.errors import ConfigError
from edge.record.evidence import folder as folders
from edge.record.evidence import writer as writers
from edge.record.evidence.picture import encode
from edge.record.evidence.reader import Evidence
from edge.record.evidence.schema import DROPPED, INDEX
from edge.record.evidence.store import Store
from edge.record.evidence.writer import STUCK_NS, UNRECORDED_NS, EvidenceWriter, Shot
from tests.support_evidence import (
    SPARE,
    Line,
    closed,
    config,
    framed,
    pool,
    record,
    running,
    wait_until,
)


def brightness(folder: Path, part: int) -> float:
    reader = Evidence(folder)
    found = reader.find(7, part)
    assert found is not None
    image = cv2.imread(str(reader.path(found)), cv2.IMREAD_GRAYSCALE)
    reader.close()
    assert image is not None
    return float(image.mean())


@pytest.mark.parametrize("form", ["jpeg", "png"])
def test_pictures_are_written_and_slots_come_back(tmp_path: Path, form: str) -> None:
    with running(tmp_path, format=form) as line:
        for number in (10, 200, 90):
            line.shoot(number)
            wait_until(line.free)
        wait_until(line.idle)
        status = line.writer.status()
        assert status.written == {"reject": 3}
        assert (status.dropped, status.problem) == ({}, "")
        assert status.bytes > 0
        assert [brightness(tmp_path, number) for number in (10, 200, 90)] == pytest.approx([10, 200, 90], abs=1)
        wait_until(lambda: line.writer.status().free_bytes > 0)


def test_a_picture_waits_for_its_record_and_its_slot_does_not(tmp_path: Path) -> None:
    with running(tmp_path) as line:
        shot = line.shoot(1, recorded=False)
        wait_until(line.free)
        assert line.writer.status().waiting == 1
        shot.record = record(1)
        wait_until(line.idle)
        assert line.writer.status().written == {"reject": 1}


def test_a_picture_whose_record_never_comes_is_counted(tmp_path: Path) -> None:
    with running(tmp_path) as line:
        line.shoot(1, recorded=False)
        wait_until(line.free)
        line.ahead_ns = UNRECORDED_NS + NS_PER_S
        wait_until(line.idle)
        assert line.writer.status().dropped == {"unrecorded": 1}


def test_the_close_finding_stands_in_the_sidecar(tmp_path: Path) -> None:
    with running(tmp_path) as line:
        line.shoot(1, "near")
        wait_until(line.idle)
        reader = Evidence(tmp_path)
        found = reader.search()[0]
        assert (found.reason, found.cls, found.score) == ("near", "pit", 0.45)
        assert [f["cls"] for f in reader.sidecar(found)["near"]] == ["pit"]
        reader.close()


def test_closing_writes_what_waits(tmp_path: Path) -> None:
    with running(tmp_path) as line:
        line.shoot(1)
        line.shoot(2)
    assert len(Evidence(tmp_path).search()) == 2


# -- the disk ---------------------------------------------------------------------------------------------------------


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> threading.Event:
    """Let every picture be refused until the event is set."""
    well, real = threading.Event(), Store.put

    def put(self: Store, *rest: Any) -> bool:
        if not well.is_set():
            raise error
        return real(self, *rest)

    monkeypatch.setattr(Store, "put", put)
    monkeypatch.setattr(folders, "RETRY_NS", NS_PER_S // 50)
    return well


def test_a_full_disk_is_told_and_what_waited_is_written_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    well = failing(monkeypatch, OSError(28, "No space left on device"))
    with running(tmp_path) as line:
        for number in range(1, 2 * SPARE + 1):
            line.shoot(number)
            wait_until(line.free)
        wait_until(lambda: "evidence" in line.writer.alarms())
        text = line.writer.alarms()["evidence"]
        assert text.startswith(ALARMS["evidence"].text)
        assert "No space left on device" in text
        assert line.writer.status().waiting == 2 * SPARE
        well.set()
        wait_until(line.idle)
        assert line.writer.status().written == {"reject": 2 * SPARE}
        assert line.writer.alarms() == {}


def test_the_end_waits_a_moment_for_a_disk_that_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    well = failing(monkeypatch, OSError(28, "No space left on device"))
    with running(tmp_path) as line:
        line.shoot(1)
        wait_until(lambda: "evidence" in line.writer.alarms())
        soon = threading.Timer(0.2, well.set)
        soon.start()
        line.writer.close()
        soon.join()
        assert line.writer.status().written == {"reject": 1}


def test_what_waits_for_the_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, OSError(28, "No space left on device"))
    monkeypatch.setattr(writers, "ROOM_BYTES", 2 * len(encode(np.full((24, 32), 1, np.uint8), "mono8", "png", 90).data))
    with running(tmp_path, format="png") as line:
        for _ in range(4):
            line.shoot(1)
            wait_until(line.free)
        assert line.writer.status().dropped == {"no_room": 2}
        line.writer.close(0.2)


def test_rejects_wait_for_the_disk_at_the_cost_of_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    well = failing(monkeypatch, OSError(28, "No space left on device"))
    monkeypatch.setattr(writers, "ROOM_BYTES", 2 * len(encode(np.full((24, 32), 1, np.uint8), "mono8", "png", 90).data))
    with running(tmp_path, format="png") as line:
        for number, reason in enumerate(["near", "near", "reject", "reject", "near", "reject"], 1):
            line.shoot(1, reason).record = record(number)
            wait_until(line.free)
        assert line.writer.status().dropped == {"no_room": 4}
        well.set()
        wait_until(line.idle)
        assert sorted(p.part for p in Evidence(tmp_path).search()) == [3, 4]


def test_a_picture_for_which_much_has_to_go_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers, real = [False, False], Store.put
    monkeypatch.setattr(Store, "put", lambda store, *rest: answers.pop() if answers else real(store, *rest))
    with running(tmp_path) as line:
        line.shoot(1)
        line.shoot(2)
        wait_until(line.idle)
        assert (answers, line.writer.status().written, line.writer.status().dropped) == ([], {"reject": 2}, {})


def test_a_frame_that_comes_while_many_pictures_are_written_does_not_wait_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, real = list[int](), Store.put

    def put(self: Store, *rest: Any) -> bool:
        done = real(self, *rest)
        written.append(line.pool.occupancy()[Purpose.EVIDENCE.value])
        if len(written) == 1:
            line.shoot(200, recorded=False)
        return done

    monkeypatch.setattr(Store, "put", put)
    with running(tmp_path) as line:
        waiting = [line.shoot(number, recorded=False) for number in range(1, SPARE + 1)]
        wait_until(line.free)
        for number in range(SPARE + 1, 3 * writers._AT_ONCE + 1):
            waiting.append(line.shoot(number, recorded=False))
            wait_until(line.free)
        for number, shot in enumerate(waiting, 1):
            shot.record = record(number)
        wait_until(lambda: len(written) == len(waiting))
        assert sum(written) <= 2 * writers._AT_ONCE, "its slot is free again before most are written"
        monkeypatch.setattr(writers, "UNRECORDED_NS", 0)


def test_a_stalled_disk_holds_no_more_than_the_spare_slots_and_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, goes_on, real = threading.Event(), threading.Event(), Store.put

    def put(self: Store, *rest: Any) -> bool:
        writing.set()
        goes_on.wait(10)
        return real(self, *rest)

    monkeypatch.setattr(Store, "put", put)
    with running(tmp_path) as line:
        line.shoot(1)
        assert writing.wait(3)
        for number in (2, 3):
            line.shoot(number)
        lease = framed(line.pool)
        assert not line.pool.hand_over(lease, Purpose.EVIDENCE), "capture keeps the rest"
        line.pool.release(lease)
        assert line.writer.alarms() == {}
        line.ahead_ns = STUCK_NS + NS_PER_S
        assert "does not keep up" in line.writer.alarms()["evidence"]
        goes_on.set()
        wait_until(line.idle)
        assert line.writer.alarms() == {}


def test_a_stalled_disk_does_not_hold_up_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(Store, "put", lambda *_: goes_on.wait(10))
    line = Line(tmp_path)
    line.shoot(1)
    wait_until(line.free)
    begin = writers.now_ns()
    line.writer.close(0.2)
    assert writers.now_ns() - begin < NS_PER_S
    goes_on.set()
    wait_until(lambda: not any(thread.name == "evidence" for thread in threading.enumerate()))


def test_a_lost_slot_is_a_problem_for_a_minute(tmp_path: Path) -> None:
    with running(tmp_path) as line:
        line.writer.drop("no_slot")
        assert "no_slot" in line.writer.alarms()["evidence"]
        line.ahead_ns = 59 * NS_PER_S
        assert "evidence" in line.writer.alarms()
        line.ahead_ns = 60 * NS_PER_S + NS_PER_S // 100
        assert line.writer.alarms() == {}
        line.writer.drop("recording")
        assert line.writer.alarms() == {}, "which is as it should be"


def test_too_little_room_on_the_disk_is_an_alarm_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "LOOK_NS", NS_PER_S // 100)
    room = [3 << 30]
    monkeypatch.setattr(Store, "free", lambda _: room[0])
    with running(tmp_path, free_gb=2.0) as line:
        wait_until(lambda: line.writer.status().free_bytes == 3 << 30)
        assert line.writer.alarms() == {}
        room[0] = 1 << 30
        wait_until(lambda: "disk_low" in line.writer.alarms())
        assert "evidence.free_gb = 2 must stay free" in line.writer.alarms()["disk_low"]
        line.shoot(1)
        wait_until(line.idle)
        assert line.writer.status().dropped == {"disk_low": 1}
        room[0] = 3 << 30
        wait_until(lambda: line.writer.alarms() == {})


def test_a_deleted_folder_is_made_anew(tmp_path: Path) -> None:
    with running(tmp_path / "evidence") as line:
        line.shoot(1)
        wait_until(line.idle)
        for path in sorted((tmp_path / "evidence").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tmp_path / "evidence").rmdir()
        line.shoot(2)
        wait_until(line.idle)
        assert [p.part for p in Evidence(tmp_path / "evidence").search()] == [2]


@pytest.mark.parametrize("days_ahead", [100, 365 * 70])
def test_a_start_with_a_clock_that_is_ahead_makes_nothing_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days_ahead: int
) -> None:
    monkeypatch.setattr(folders, "TIDY_NS", NS_PER_S // 100)
    with running(tmp_path, keep_days=90) as line:
        line.shoot(1)
        wait_until(line.idle)
    ahead = writers.wall_ns() + days_ahead * 86_400 * NS_PER_S
    tidied, real = threading.Event(), Store.tidy

    def tidy(self: Store, now_ms: int) -> bool:
        more = real(self, now_ms)
        tidied.set()
        return more

    monkeypatch.setattr(Store, "tidy", tidy)
    writer = EvidenceWriter(config(tmp_path, keep_days=90), pool(), "mono8", "s", 0, wall=lambda: ahead)
    assert tidied.wait(3)
    assert [p.part for p in Evidence(tmp_path).search()] == [1]
    writer.close()


def test_pictures_have_had_their_time_while_the_station_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "TIDY_NS", NS_PER_S // 100)
    passed_ns = [0]
    frames = pool()
    clocks: dict[str, Any] = {
        "clock": lambda: writers.now_ns() + passed_ns[0], "wall": lambda: writers.wall_ns() + passed_ns[0]
    }  # fmt: skip
    with running(tmp_path) as line:
        line.shoot(1)
        wait_until(line.idle)
    writer = EvidenceWriter(config(tmp_path, keep_days=90), frames, "mono8", "s", 0, **clocks)
    wait_until(lambda: writer.status().bytes > 0)
    passed_ns[0] = 91 * 86_400 * NS_PER_S
    wait_until(lambda: not Evidence(tmp_path).search())
    writer.close()


def test_a_damaged_index_is_made_anew_while_the_line_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "RETRY_NS", NS_PER_S // 50)
    with running(tmp_path) as line:
        line.shoot(1)
        wait_until(line.idle)
    (tmp_path / INDEX).write_bytes(b"no index" * 1000)
    with running(tmp_path) as line:
        line.shoot(2)
        wait_until(line.idle)
        assert line.writer.status().written == {"reject": 1}
    assert (tmp_path / f"{INDEX}.damaged").exists()
    assert sorted(p.part for p in Evidence(tmp_path).search()) == [1, 2]


def test_a_folder_belongs_to_one_process(tmp_path: Path) -> None:
    with running(tmp_path), pytest.raises(ConfigError, match="another process"):
        Line(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"evidence\.folder"):
        Line(tmp_path / "file")


def test_a_wall_clock_that_jumps_ahead_makes_nothing_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wall = [writers.wall_ns()]
    monkeypatch.setattr(folders, "TIDY_NS", NS_PER_S // 100)
    frames = pool()
    writer = EvidenceWriter(config(tmp_path, keep_days=1), frames, "mono8", "s", 0, wall=lambda: wall[0])
    lease = framed(frames)
    assert frames.hand_over(lease, Purpose.EVIDENCE)
    today = writers.wall_iso()
    writer.put(Shot(lease, closed(1), "reject", False, writers.now_ns(), record(1, wall=today)))
    wait_until(lambda: writer.status().written == {"reject": 1})
    wall[0] += 400 * 86_400 * NS_PER_S
    threading.Event().wait(0.1)
    assert len(Evidence(tmp_path).search()) == 1
    writer.close()


# -- frames that cannot be encoded, and whoever looks -----------------------------------------------------------------


def test_what_the_index_will_never_take_stands_before_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(tmp_path) as line:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "_is_taken", lambda *_: False)
            for _ in range(2):
                line.shoot(1)
                wait_until(line.free)
            wait_until(line.idle)
        assert "IntegrityError" in line.writer.alarms()["evidence"]
        line.shoot(2)
        wait_until(line.idle)
        assert line.writer.status().written == {"reject": 2}
        assert (line.writer.status().dropped, line.writer.alarms()) == ({"fault": 1}, {})


def test_a_fault_of_writing_stands_until_a_picture_is_written(tmp_path: Path) -> None:
    with running(tmp_path) as line:
        line.shoot(1, recorded=False).record = record(1, wall="no time at all")
        wait_until(line.idle)
        waiting = line.shoot(2, recorded=False)  # which is encoded well
        wait_until(line.free)
        assert "no time at all" in line.writer.alarms()["evidence"]
        waiting.record = record(2)
        wait_until(line.idle)
        assert line.writer.alarms() == {}


def test_the_thread_goes_on_whatever_fails_in_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path) as line:
        with monkeypatch.context() as patch:
            patch.setattr(folders.Folder, "look_after", lambda _: 1 / 0)
            wait_until(lambda: "evidence" in line.writer.alarms())
            assert "division by zero" in line.writer.alarms()["evidence"]
            threading.Event().wait(0.1)
        wait_until(lambda: line.writer.alarms() == {})
        line.shoot(1)
        wait_until(line.idle)
    assert caplog.text.count("division by zero") == 1, "told once"


def test_a_picture_that_nothing_can_write_stands_before_no_other(tmp_path: Path) -> None:
    with running(tmp_path) as line:
        line.shoot(1, recorded=False).record = record(1, wall="no time at all")
        wait_until(line.idle)
        assert "no time at all" in line.writer.alarms()["evidence"]
        line.shoot(2)
        wait_until(lambda: line.writer.status().written == {"reject": 1})
        assert (line.writer.status().dropped, line.writer.alarms()) == ({"fault": 1}, {})


def test_whatever_fails_costs_a_picture_and_neither_slot_nor_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(tmp_path) as line:
        with monkeypatch.context() as patch:
            patch.setattr(writers, "encode", lambda *_: 1 / 0)
            line.shoot(1)
            wait_until(line.free)
            assert "division by zero" in line.writer.alarms()["evidence"]
        line.shoot(2)
        wait_until(line.idle)
        assert line.writer.alarms() == {}
        assert line.writer.status().dropped == {"fault": 1}
        assert set(line.writer.status().dropped) <= set(DROPPED)
