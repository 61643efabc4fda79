"""The journals of a soak: filled to their bound before it begins, so that retention works all the while."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path

from edge.clock import NS_PER_S, now_ns, wall_ns
from edge.config import JournalConfig
from edge.record.journal import Event, Journal

DISK_PER_KEEP = 1.6
"""Size of a small disk over ``journal.keep_gb``: the bound, the file in use, its write-ahead log, and room."""

_DAY_NS = 86_400 * NS_PER_S
_SHARE = 4  # files to one bound
_TEXT = "filling " * 500
_WRITE_S = 60.0


@contextmanager
def small_disk(folder: Path, keep_gb: float) -> Iterator[bool]:
    """Mount a small file system on ``folder``, so that it can be filled; yield False where this user may not."""
    folder.mkdir(parents=True, exist_ok=True)
    size = f"size={int(keep_gb * 1e9 * DISK_PER_KEEP)}"
    command = ["mount", "-t", "tmpfs", "-o", size, "edge-soak", str(folder)]
    try:
        with suppress(FileNotFoundError):
            subprocess.run(command, capture_output=True, check=False)
        yield folder.is_mount()
    finally:
        if folder.is_mount() and subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, process: str, keep_gb: float) -> int:
    """Fill a journal with old days until it has reached its bound; return how many files that took.

    Every file is one that the journal itself has written; the oldest are copies of the first.
    """
    target = int(keep_gb * 1e9)
    yesterday = wall_ns() - _DAY_NS
    journal = Journal(
        JournalConfig(folder=str(folder), keep_gb=4 * keep_gb, room=1_000_000),
        *(process, "before the soak", 0),
        wall=lambda: yesterday,
    )
    for _ in range(target // _SHARE // len(_TEXT)):
        journal.put(Event("filling", _TEXT, {}, now_ns()))
    journal.close(_WRITE_S)
    first = max(folder.glob("*.sqlite"))
    day = date.fromisoformat(first.name.removesuffix(".sqlite"))
    copies = max(0, -(-target // first.stat().st_size) - 1)
    for back in range(1, copies + 1):
        shutil.copyfile(first, folder / f"{day - timedelta(days=back)}.sqlite")
    return copies + 1


def held(folder: Path) -> tuple[int, int]:
    """Return how many bytes a journal's folder holds, and in how many files."""
    sizes = [path.stat().st_size for path in folder.iterdir() if path.is_file()]
    return sum(sizes), len(list(folder.glob("*.sqlite")))
