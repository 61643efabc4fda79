"""When it is in doubt which part is which: a device was away, or a counter began anew."""

from __future__ import annotations

from edge import flight
from edge.core.match import Matcher
from edge.station.health import Health
from edge.station.interfaces import Reports
from edge.station.link import GatewayLink


class Doubts:
    """Takes that devices go and come back, and has identity begun anew, behind a fence.

    Args:
        health: of the devices.
        matcher: knows whose frame is whose.
        link: to the gateway.
        reporter: told of it.
    """

    def __init__(self, health: Health, matcher: Matcher, link: GatewayLink, reporter: Reports) -> None:
        self._health, self._matcher, self._link, self._reporter = health, matcher, link, reporter

    def lost(self, device: str, text: str, now: int) -> None:
        """Take that a device is gone, and why."""
        self._health.lost(device, text)
        flight.request(f"{device} lost")
        self._reporter.note("device_lost", f"The {device} is lost: {text}", now, device=device)

    def back(self, device: str, now: int) -> None:
        """Go on with a device that was lost: what its counters now mean is learnt anew, behind a fence.

        An eye that counts anew costs a second session, at its first edge: nothing sooner shows that it does.  A grant
        that is under way now is taken with its older fence: the parts beyond that passed while the device was gone,
        without a frame or without a trigger, so none of them can be permitted.
        """
        self._health.back(device)
        self._reporter.reconnects[device] += 1
        self._reporter.note("reconnect", f"The {device} is back.", now, device=device)
        self.renew(f"the {device} was away")

    def renew(self, reason: str) -> None:
        """Ask for a new session, whose fence clears the stretch where identity is in doubt."""
        self._link.renew(reason)
        self._matcher.resynchronise()
