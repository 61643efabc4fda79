"""How the station stands: what keeps parts out, which alarms are told, and the state in words that follows."""

from __future__ import annotations

from collections.abc import Mapping

from edge.core.alarms import ALARMS
from edge.station.health import Health
from edge.station.interfaces import ChallengeParts, Reports, Watcher
from edge.station.link import GatewayLink

JOURNAL_TROUBLE = "the journal is in trouble; see its alarm"
"""The state's reason: without the alarm's numbers, as each change of the state is recorded in that very journal."""


class Standing:
    """Brings together what devices, watch, challenges, gateway and journal say of themselves.

    Args:
        health: of the devices.
        watch: of pictures, machine and drift, or None.
        challenges: of challenge parts.
        link: to the gateway.
        reporter: knows how the journal fares.
    """

    def __init__(
        self,
        health: Health,
        watch: Watcher | None,
        challenges: ChallengeParts,
        link: GatewayLink,
        reporter: Reports,
    ) -> None:
        self._health, self._watch, self._challenges = health, watch, challenges
        self._link, self._reporter = link, reporter

    def faults(self, now: int) -> dict[str, str]:
        """Return what is wrong: devices that are not there, and checks that hold the line."""
        return {**self._health.gone(now), **({} if self._watch is None else self._watch.holds(now))}

    def gone(self, faults: Mapping[str, str]) -> dict[str, str]:
        """Return why no parts may be sent: ``faults``, as they were told, and challenges that were not passed."""
        return {**faults, **self._challenges.holds()}

    def told(self, now: int, gone: Mapping[str, str]) -> tuple[tuple[str, str], dict[str, str]]:
        """Return the state (RUNNING, WARNING, FAULT, STARTING) with its reason in words, and the alarms in words.

        Args:
            now: monotonic ns.
            gone: what ``gone`` said.
        """
        silent, watched = self._health.alarms(now, gone), self._watched(now)
        return self._state(now, silent, watched), {**silent, **watched}

    def _watched(self, now: int) -> dict[str, str]:
        return {**({} if self._watch is None else self._watch.alarms(now)), **self._challenges.alarms()}

    def _state(self, now: int, alarms: Mapping[str, str], watched: Mapping[str, str]) -> tuple[str, str]:
        state = self._health.state(alarms)
        if state[0] != "FAULT" and (instruction := self._challenges.instruction()):
            return "WARNING", instruction
        if state[0] == "RUNNING":
            state = self._link.state()
        if state[0] == "RUNNING" and self._reporter.trouble(now):
            state = "WARNING", JOURNAL_TROUBLE
        if state[0] == "RUNNING" and watched:
            state = "WARNING", ALARMS[next(iter(watched))].text  # likewise
        return state
