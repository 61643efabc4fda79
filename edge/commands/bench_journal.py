"""`edge bench journal`: do a journal's full or stalled disk, and a hung monitor, delay verdicts?

Station and gateway keep their journals on a small file system in memory, which a process of its own fills, or whose
databases it locks as a disk that stands still would; a real monitor listens to both, and is stopped.  T4 is when the
gateway accepted the verdict.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path

from edge.commands.bench_blocks import gateway, gateway_config, monitor, rig, run, station_config
from edge.commands.bench_effects import Effects, evaluate, schedule, summarise, until_t4
from edge.config import JournalConfig, StationConfig
from edge.errors import ConfigError
from edge.wire.messages import PartRecord, decode_published

BLOCKS = 6
PARTS = 250
DISK_MB = 16
_FILL = 65_536
_LOCK_S = 5.0


class Condition(str, Enum):
    """How the surroundings do."""

    WELL = "well"
    JOURNAL_FULL = "journal full"
    JOURNAL_STALLED = "journal stalled"
    MONITOR_HUNG = "monitor hung"


FAULTS = tuple(condition for condition in Condition if condition is not Condition.WELL)


def measure(config: StationConfig, blocks: int = BLOCKS, parts: int = PARTS) -> Effects:
    """Measure the station beside each fault; this process is the station's, with its priority.

    Args:
        config: whose model and frame are used; the rest is the bench's own.
        blocks: of each fault, at least 2.
        parts: of each block, at the least.

    Raises:
        ConfigError: no file system can be mounted here.
        EdgeError: a process does not start, or the machine is too slow.
    """
    with tempfile.TemporaryDirectory(prefix="edge-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        disk = stack.enter_context(_small_disk(folder / "journal"))
        port, plc = stack.enter_context(rig())
        station = station_config(config, folder).model_copy(update={"journal": _journal(disk / "station")})
        other = gateway_config(folder, port).model_copy(update={"journal": _journal(disk / "gateway")})
        stack.enter_context(gateway(other, folder))
        hung = stack.enter_context(monitor(station, folder)).pid
        faults = stack.enter_context(_troubles(disk, hung))
        plan = schedule(Condition.WELL, FAULTS, blocks)
        edges_ns = run(station, plc, faults, plan, parts, folder / "outcomes")
        records = [decode_published(line) for line in (folder / "outcomes").read_bytes().splitlines()]
    found = summarise([r for r in records if isinstance(r, PartRecord)], plan, edges_ns, until_t4)
    return evaluate("T0 to T4", Condition.WELL, FAULTS, found)


def _journal(folder: Path) -> JournalConfig:
    return JournalConfig(folder=str(folder), keep_gb=DISK_MB / 4 / 1024)


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system in memory of ``DISK_MB`` at ``folder``, and unmount it behind all that uses it."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "edge-bench", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{folder}: no small file system can be mounted ({done.stderr.strip()}).", "run it as root.")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def _troubles(disk: Path, monitor: int) -> Iterator[Connection]:
    """Run the process that makes the faults; yield where it takes conditions."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_make_trouble, args=(theirs, disk, monitor), name="troubles", daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join()
        process.close()


def _make_trouble(commands: Connection, disk: Path, monitor: int) -> None:
    """Make each condition that ``commands`` names, undo the one before, and answer True."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to end
    with ExitStack() as stack, contextlib.suppress(EOFError):  # the parent has closed the pipe
        while True:
            condition = commands.recv()
            stack.close()
            if condition is Condition.JOURNAL_FULL:
                stack.callback(_fill(disk / "filler").unlink)
            elif condition is Condition.JOURNAL_STALLED:
                for path in sorted(disk.glob("*/*.sqlite")):
                    stack.callback(_lock(path).close)
            elif condition is Condition.MONITOR_HUNG:
                os.kill(monitor, signal.SIGSTOP)
                stack.callback(os.kill, monitor, signal.SIGCONT)
            commands.send(True)


def _fill(path: Path) -> Path:
    """Write ``path`` until the disk has no room left."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # full, as wanted
        while True:
            file.write(bytes(_FILL))
    return path


def _lock(path: Path) -> sqlite3.Connection:
    """Hold a database's write lock: whoever commits to it waits, as for a disk that stands still."""
    holder = sqlite3.connect(path, timeout=_LOCK_S, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    return holder
