"""What goes wrong in a soak: every fault of the plant's console, and the processes and disks of the line itself."""

from __future__ import annotations

import errno
import os
import random
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.clock import now_ns
from edge.commands.soak_rig import Rig

UP_TIMEOUT_S = 20.0
"""For a process that was started again to say something of itself."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: in reports.
        run: does it, and returns when what was hurt is whole again; the random numbers say how long and how bad.
        replaces: a process is not the same one afterwards, so that its memory can't be followed through it.
    """

    name: str
    run: Callable[[Rig, random.Random], None]
    replaces: bool = False


# -- the plant's own ---------------------------------------------------------------------------------------------------

_Range = tuple[float, float]

LINE_FAULTS: dict[str, dict[str, _Range]] = {
    "drop_frames": {"parts": (1, 10)},
    "delay_frames": {"parts": (1, 10), "delay_ms": (5, 120)},
    "short_frames": {"parts": (1, 5)},
    "corrupt_frames": {"parts": (1, 5)},
    "repeat_frame": {"parts": (1, 3)},
    "extra_frame": {},
    "camera_gap": {"frames": (1, 5)},
    "camera_gone": {"ms": (200, 2500)},
    "camera_silent": {"ms": (100, 1500)},
    "camera_restart": {"ms": (50, 800), "counter": (0, 1 << 32)},
    "drop_triggers": {"parts": (1, 10)},
    "delay_triggers": {"parts": (1, 10), "delay_ms": (5, 120)},
    "trigger_gone": {"ms": (200, 2500)},
    "eye_blocked": {"ms": (5, 400)},
    "eye_bounce": {"edges": (1, 4)},
    "encoder_frozen": {"ms": (5, 600)},
    "encoder_jump": {"counts": (-200_000, 200_000)},
    "encoder_restart": {"count": (0, 1 << 32)},
    "belt_stop": {"ms": (100, 1500)},
    "belt_reverse": {"ms": (50, 300), "speed_mm_s": (100, 2000)},
    "belt_fast": {"ms": (50, 500), "factor": (1.1, 3.0)},
    "plc_stop": {"ms": (50, 1500)},
    "plc_reboot": {},
    "plc_silent": {"ms": (20, 1000)},
    "plc_slow": {"ms": (200, 1500), "answer_ms": (5, 60)},
    "plc_refuse": {"ms": (20, 1000)},
    "plc_closed": {"ms": (50, 1500)},
    "plc_nonsense": {"ms": (20, 1000)},
    "plc_foreign": {"ms": (20, 1000)},
}
"""By the console's names, how much of each: the arguments are drawn from these ranges."""


def _at_the_line(name: str) -> Fault:
    def run(rig: Rig, rng: random.Random) -> None:
        arguments = {key: float(round(rng.uniform(*bounds), 2)) for key, bounds in LINE_FAULTS[name].items()}
        rig.fault(name, **arguments)
        rig.wait_until(lambda: name not in rig.state()["open_faults"], UP_TIMEOUT_S, f"{name} never ended")

    return Fault(name, run)


# -- processes ---------------------------------------------------------------------------------------------------------

_DOWN_S = (0.05, 1.5)
_STOPPED_S = (0.05, 2.0)


def _killed(*names: str, by: signal.Signals = signal.SIGKILL) -> Callable[[Rig, random.Random], None]:
    def run(rig: Rig, rng: random.Random) -> None:
        for name in names:
            rig.send(name, by)
        rig.wait(rng.uniform(*_DOWN_S))
        for name in names:
            rig.await_end(name, by)
        since = now_ns()
        for name in names:
            rig.start(name)
        rig.wait_until(
            lambda: all(rig.statuses.heard_ns.get(name, since) >= since for name in names),
            UP_TIMEOUT_S,
            f"{' and '.join(names)} did not come back",
        )

    return run


def _stopped(name: str) -> Callable[[Rig, random.Random], None]:
    def run(rig: Rig, rng: random.Random) -> None:
        rig.send(name, signal.SIGSTOP)
        try:
            rig.wait(rng.uniform(*_STOPPED_S))
        finally:
            rig.send(name, signal.SIGCONT)

    return run


def _told(name: str, run: Callable[[Rig, random.Random], None], replaces: bool = False) -> Fault:
    """Return a fault of which the referee has to be told: it sees plates, and no processes."""

    def told(rig: Rig, rng: random.Random) -> None:
        rig.console.begin(name)
        try:
            run(rig, rng)
        finally:
            rig.console.end(name)

    return Fault(name, told, replaces)


# -- disks -------------------------------------------------------------------------------------------------------------

_DISK_S = (0.2, 3.0)
_PAGE = 4096


def _journal_full(name: str) -> Callable[[Rig, random.Random], None]:
    def run(rig: Rig, rng: random.Random) -> None:
        with _ballast(rig.journals[name] / "ballast"):
            rig.wait(rng.uniform(*_DISK_S))

    return run


@contextmanager
def _ballast(path: Path) -> Iterator[None]:
    """Take all the space that is left on the file system of ``path``."""
    try:
        with path.open("wb") as file:
            _take_all(file.fileno())
        yield
    finally:
        path.unlink()


def _take_all(handle: int) -> None:
    """Make a file as large as its file system allows, while the journal takes what it can too."""
    size, chunk = 0, 1 << 26
    while chunk >= _PAGE:
        try:
            os.posix_fallocate(handle, size, chunk)
            size += chunk
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            chunk //= 2


def _journal_locked(name: str) -> Callable[[Rig, random.Random], None]:
    """Return what holds the journal's newest file as a stalled disk would: its writer can neither go on nor give up."""

    def run(rig: Rig, rng: random.Random) -> None:
        newest = max(rig.journals[name].glob("*.sqlite"))
        with closing(sqlite3.connect(newest, timeout=5.0, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                rig.wait(rng.uniform(*_DISK_S))
            finally:
                database.execute("ROLLBACK")

    return run


def catalogue(small_disks: bool) -> list[Fault]:
    """Return every fault; ``small_disks`` says whether each journal lies on a file system that can be filled.

    Monitor and journals are nobody's business at the gate, so the referee is told nothing of their faults: parts that
    they cost count as unaffected.
    """
    faults = [_at_the_line(name) for name in LINE_FAULTS]
    for name in ("station", "gateway"):
        faults += [
            _told(f"{name}_killed", _killed(name), replaces=True),
            _told(f"{name}_restarted", _killed(name, by=signal.SIGTERM), replaces=True),
            _told(f"{name}_stopped", _stopped(name)),
            Fault(f"{name}_journal_locked", _journal_locked(name)),
        ]
        if small_disks:
            faults.append(Fault(f"{name}_journal_full", _journal_full(name)))
    faults.append(_told("station_and_gateway_killed", _killed("station", "gateway"), replaces=True))
    faults.append(Fault("monitor_killed", _killed("monitor"), replaces=True))
    faults.append(Fault("monitor_stopped", _stopped("monitor")))
    return faults


class Bag:
    """Draws each fault once, in random order, before any comes again."""

    def __init__(self, faults: list[Fault], rng: random.Random) -> None:
        self._faults, self._rng = faults, rng
        self._left: list[Fault] = []

    def draw(self) -> Fault:
        """Return the next fault."""
        if not self._left:
            self._left = self._rng.sample(self._faults, len(self._faults))
        return self._left.pop()
