"""`edge record` beside a station that serves its control socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.commands.record import record
from edge.config import ControlConfig, StationConfig
from edge.errors import ControlError, RecordingError
from edge.record.commands import control
from edge.record.recorder import Bounds
from edge.record.recording import FRAMES, Recording
from edge.station.orders import receiver
from edge.station.tape import recording_commands
from tests.support_recording import RecordedStation

BOUNDS = Bounds(12, 100.0, 60.0)


def configured(made: RecordedStation, socket: Path | None) -> StationConfig:
    """Return the station's configuration with a control socket."""
    path = None if socket is None else str(socket)
    return made.config.model_copy(update={"control": ControlConfig(path=path)})


@contextmanager
def running(folder: Path) -> Iterator[tuple[RecordedStation, StationConfig]]:
    """Let a station see part after part while its control socket is served."""
    made, stop = RecordedStation(folder / "unused", begins=False), threading.Event()
    config = configured(made, folder / "control")

    def run() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            made.part(number, number % 250)
            time.sleep(0.002)

    post = made.box.events.append
    commands = recording_commands(made.tape, post, lambda: None)
    station = threading.Thread(target=run)
    with control(config.control, receiver(post, others={"record": commands}, details=made.tape.details)):
        station.start()
        try:
            yield made, config
        finally:
            stop.set()
            station.join()
            made.tape.close()


def test_it_fetches_a_whole_recording_with_its_frames_packed(tmp_path: Path) -> None:
    told: list[str] = []
    with running(tmp_path) as (_, config):
        header = record(config, tmp_path / "r", BOUNDS, told.append)
    assert (header.parts, header.ended) == (12, "12 parts")
    assert told[-1] == "packing the frames"
    assert {path.suffix for path in (tmp_path / "r" / FRAMES).iterdir()} == {".png"}
    assert len(Recording(tmp_path / "r").reference) == 12


def test_interrupted_it_ends_the_recording_whole(tmp_path: Path) -> None:
    told: list[str] = []

    def interrupted(text: str) -> None:
        told.append(text)
        if len(told) == 1:
            raise KeyboardInterrupt

    with running(tmp_path) as (_, config):
        header = record(config, tmp_path / "r", Bounds(100_000, 100.0, 60.0), interrupted)
    assert header.ended == "it was stopped"
    assert len(Recording(tmp_path / "r").reference) == header.parts > 0


def test_a_station_that_was_restarted_meanwhile_is_said(tmp_path: Path) -> None:
    with running(tmp_path) as (made, config):

        def forget(_: str) -> None:
            made.tape.close()
            made.tape._last = None

        with pytest.raises(RecordingError, match=r"does not know .* any more"):
            record(config, tmp_path / "r", Bounds(100_000, 100.0, 60.0), forget)


def test_a_folder_that_exists_is_refused_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "r" / FRAMES).mkdir(parents=True)
    with running(tmp_path) as (_, config), pytest.raises(ControlError, match="give a new folder") as refused:
        record(config, tmp_path / "r", BOUNDS, print)
    assert refused.value.exit_code == 12


def test_a_station_that_takes_no_commands_or_does_not_run_is_said(tmp_path: Path) -> None:
    made = RecordedStation(tmp_path / "unused", begins=False)
    with pytest.raises(RecordingError, match=r"set control\.path"):
        record(configured(made, None), tmp_path / "r", BOUNDS, print)
    with pytest.raises(ControlError, match="There is no control socket"):
        record(configured(made, tmp_path / "none"), tmp_path / "r", BOUNDS, print)
