"""How much memory there is for another model beside the one that decides."""

from __future__ import annotations

import os
import re
from pathlib import Path

from edge.errors import EngineError

MB = 1 << 20
LEAST_MB = 256
"""What stays free beside the new model, a library that was not in use before (60 MB) included."""

PER_MODEL_BYTE = 10
"""Resident memory of an engine, per byte of its graph: 6 (OpenVINO, 17 MB) to 8 (6 MB) were measured."""

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def check_room(graph_bytes: int) -> None:
    """Check that a model with a graph of so many bytes finds room beside what runs.

    Raises:
        EngineError: it does not, with the figures.
    """
    needed_mb = LEAST_MB + PER_MODEL_BYTE * graph_bytes // MB
    free_mb = available() // MB
    if free_mb < needed_mb:
        raise EngineError(
            f"{needed_mb} MB are needed to load the model beside the one that decides, and {free_mb} MB are available.",
            "free memory, or restart the station with the package in its configuration.",
        )


def available(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP, own_group: Path = _OWN_GROUP) -> int:
    """Return how many bytes can still be had: of the machine, and of each control group (v2) around this process.

    That is the container's, which lies at the root of what it sees, or the service manager's with those above it.
    """
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(encoding="ascii"), re.MULTILINE)
    free = int(found[1]) * 1024 if found else os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    own = re.search(r"^0::/(.*)$", own_group.read_text(), re.MULTILINE)
    folder = cgroup / own[1] if own else cgroup
    for group in (folder, *folder.parents):
        if group.is_relative_to(cgroup):
            free = min(free, _left(group, free))
    return free


def _left(group: Path, unlimited: int) -> int:
    """Return what a control group leaves.  Files that are only cached make room when it is needed."""
    try:
        limit, used, kinds = (
            (group / f"memory.{name}").read_text(encoding="ascii").strip() for name in ("max", "current", "stat")
        )
    except OSError:  # the root group, or version 1
        return unlimited
    if limit == "max":
        return unlimited
    cached = re.search(r"^inactive_file (\d+)$", kinds, re.MULTILINE)
    return max(0, int(limit) - int(used) + (int(cached[1]) if cached else 0))


def resident() -> int:
    """Return the process's resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
