"""Who gives way to whom inside the process: what is loaded beside a running line must not take its processor.

Every thread of a station runs under SCHED_FIFO where it may.  A thread that loads a model would hold up the others of
its priority, and so would the threads that a library starts for it, which inherit its scheduling.  Until they are
needed they run at the lowest real-time priority: behind all that decide, and before ordinary programs.  An ordinary
priority, or less, would be worse than it looks: now and then the thread holds the interpreter, and while a busy machine
keeps it from running, no other thread of the process gets on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge.errors import EngineError

LOWEST = 1
"""Of the real-time priorities."""

_TASKS = Path("/proc/self/task")


def step_back() -> Callable[[], None]:
    """Let the calling thread, and every thread that it starts from now on, run behind those that decide.

    Returns:
        What lets the threads that were started since then run as the calling thread did before.  It raises
        ``EngineError`` where they may not: they would decide too late.
    """
    own = _scheduling(0)
    back = (own[0], LOWEST) if own[0] in (os.SCHED_FIFO, os.SCHED_RR) else (os.SCHED_BATCH, 0)
    before = _threads()
    os.sched_setscheduler(0, back[0], os.sched_param(back[1]))

    def promote() -> None:
        for thread in _threads() - before:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                if _scheduling(thread) == back:  # others may start threads at the same time
                    _schedule(thread, *own)

    return promote


def _scheduling(thread: int) -> tuple[int, int]:
    """Return policy and real-time priority of a thread, 0 for the calling one."""
    return os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority


def _schedule(thread: int, policy: int, priority: int) -> None:
    try:
        os.sched_setscheduler(thread, policy, os.sched_param(priority))
    except PermissionError:
        raise EngineError(
            "The threads of the new engine may not get the priority of those that decide.",
            "let the station keep CAP_SYS_NICE or its RTPRIO limit, or restart it with the new package.",
        ) from None


def _threads() -> set[int]:
    return {int(task.name) for task in _TASKS.iterdir()}
