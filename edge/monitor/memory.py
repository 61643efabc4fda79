"""Keeps the monitor's memory small, whatever is asked of it."""

from __future__ import annotations

import ctypes

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # mallopt(3)
_ARENAS = 2
_LARGE_BYTES = 256 * 1024


def spare() -> None:
    """Have malloc give memory back: pictures, and what looking at a password takes, are large and short-lived.

    By default glibc keeps up to eight heaps a processor, one for each thread that allocates, and after the first large
    block that was freed no longer asks the kernel for blocks of that size.  Does nothing on another C library.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
