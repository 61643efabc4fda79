"""The two clocks of the product, read in one place.

Inside, time is monotonic integer nanoseconds (``CLOCK_MONOTONIC``: it never steps, and on one host every process
reads the same clock).  Wall time is for people and decides nothing.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


def now_ns() -> int:
    """Return ``CLOCK_MONOTONIC`` in nanoseconds."""
    return time.monotonic_ns()


def wall_ns() -> int:
    """Return the wall-clock time in nanoseconds since 1970-01-01 UTC, for records that people look up by date."""
    return time.time_ns()


def wall_iso() -> str:
    """Return the wall-clock time as ISO 8601 in UTC, for records that people read."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def boot_id() -> str:
    """Name this boot of this host.

    Two processes with the same boot id share one ``CLOCK_MONOTONIC``; across hosts its values must not be compared.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux: nothing to compare with, so nobody else can have the same id
        return f"unknown-{time.monotonic_ns()}"
