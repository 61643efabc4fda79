"""What must get on in a gateway for it to be alive.  Pure.

A PLC or a station that is silent is no standstill of the gateway: it goes on asking.  The loop itself is what looks.
What is in the list would otherwise fail unseen: a loop that turns and puts one of its tasks off with each turn.
"""

from __future__ import annotations

from edge.clock import NS_PER_S

PLC, TELEMETRY = "the PLC's poll", "telemetry"

PATIENCE_NS = {PLC: 5 * NS_PER_S, TELEMETRY: 5 * NS_PER_S}
"""The PLC is asked at least 5 times a second, also where it does not answer; telemetry is due once a second."""
