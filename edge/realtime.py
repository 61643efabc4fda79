"""Settings of a process that must answer in time: its priority, and Python's own pauses."""

from __future__ import annotations

import gc
import logging
import os
import resource
import sys

_log = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.0005
"""How long one thread may hold the interpreter while another waits.  At Python's 5 ms a busy thread delays a timer by
as much; at 0.5 ms by 0.7 ms (measured)."""


def prioritise(priority: int) -> bool:
    """Ask for real-time scheduling (SCHED_FIFO) of this thread and all that it starts; 0 asks for nothing.

    Returns:
        Whether it was granted.  Without the right to it the process runs on, and says so once: other load on the
        machine then costs parts their decision.
    """
    if priority == 0:
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except (OSError, AttributeError) as error:
        _log.warning(
            "No real-time priority (%s): grant CAP_SYS_NICE or a RTPRIO limit, or set realtime_priority = 0.", error
        )
        return False
    return True


def leave_no_core() -> None:
    """Write no memory to disk if the process breaks: it holds secret keys, and the restart would wait for it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def settle() -> None:
    """Call when everything is allocated, in front of the first part.

    What lives now lives for the whole run, so later garbage collections need not walk it: a full collection over a
    million objects pauses for 0.1 s.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
