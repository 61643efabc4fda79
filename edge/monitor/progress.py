"""What must get on in a monitor for it to be alive.  Pure.

A line that says nothing, and browsers that ask nothing, are no standstill: both threads look again and again.
"""

from __future__ import annotations

from edge.clock import NS_PER_S

LISTENER, HTTP = "listener", "http"
"""As in ``Monitor.turns``."""

PATIENCE_NS = {LISTENER: 20 * NS_PER_S, HTTP: 20 * NS_PER_S}
"""Both turn several times a second.  The monitor gives way to everything else on the machine, so it may take long."""

END_S = 15.0
"""For which the watchdog is put off at the end: longer than connections and threads take to be closed."""
