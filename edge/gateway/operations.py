"""How the lane is run: its mode, its alarms, and what a person commands.  It decides on no part."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from edge.config import GatewayConfig
from edge.core.alarms import ALARMS
from edge.core.guard import Conditions, Guard, alarms
from edge.core.modes import Mode
from edge.core.slots import News
from edge.gateway.plc.signals import (
    ACTION_GOOD,
    AIR_LOW,
    BELT_MOVING,
    BIN_FULL,
    CONFIRMED,
    ENCODER_LOST,
    EYE_BLOCKED,
    RESET,
    PlcStatus,
)

_log = logging.getLogger(__name__)


class Operations:
    """Mode and alarms of one lane.

    Args:
        config: of the gateway.
        changed: told of mode and alarms whenever they change, so that they outlive this process.
        note: told for the record what happened, as kind, text and data.

    Attributes:
        mode: the present one.
        alarms, guard: what stands, and what raises it.
    """

    def __init__(
        self, config: GatewayConfig, changed: Callable[[dict[str, Any]], None], note: Callable[..., None]
    ) -> None:
        self._accept_escapes = config.accept_escapes
        self._changed, self._note = changed, note
        self.mode = Mode.AUTO
        self.alarms = alarms(config.guard)
        self.guard = Guard(config.guard, config.line, self.alarms)
        self._crowded = 0
        self._plc = 0
        self._reset_held = True  # a button that is held while the process starts resets nothing
        self._told: dict[str, Any] = {}
        self._standing: dict[str, str] = {}  # alarms that were noted
        self._ended: list[str] = []  # how parts ended since the last look at the PLC
        self._seen: tuple[int, Mode] | None = None
        self._count: int | None = None
        self._gated: tuple[tuple[int, int, int], ...] = ()
        if config.actuator.deenergised_state == "pass":
            self.alarms.condition("accept_escapes", True)

    @property
    def withheld(self) -> bool:
        """True while no PASS may lead to a permit."""
        return self.mode is not Mode.AUTO or self.alarms.rejects

    @property
    def feeds(self) -> bool:
        """True while parts may be let in."""
        return self.mode.feeds and not self.alarms.stops

    def restore(self, state: dict[str, Any]) -> None:
        """Take up mode and latched alarms where an earlier process left them: only a reset clears those."""
        try:
            mode = Mode(state.get("mode"))
        except ValueError:
            _log.warning("The recorded mode %r is unknown: the line is purged until a mode is set.", state.get("mode"))
            mode = Mode.PURGE
        if mode is not Mode.BYPASS:  # nobody's parts pass uninspected because a process was restarted
            self.mode = mode
        recorded = state.get("alarms")
        for name in ALARMS:  # another version may have had others
            if isinstance(recorded, list) and name in recorded:
                self.alarms.happened(name, "Since before the restart.")

    def resume(self, status: PlcStatus) -> None:
        """Begin a new session with the PLC: what stood still or was confirmed before says nothing of now."""
        self.guard.resume(same_plc=status.session == self._plc)
        self._plc = status.session

    def ended(self, news: list[News]) -> None:
        """Take what became of parts; it is weighed with the next look at the PLC."""
        self._ended += ["permitted" if n.fact == "armed" else n.detail for n in news if n.fact in ("armed", "ended")]

    def journal(self, problem: str) -> None:
        """Take what keeps the journal from being written, or ""."""
        self.alarms.condition("journal", bool(problem), problem)
        self._tell()

    def watch(self, status: PlcStatus, crowded: int, now_ns: int) -> str:
        """Follow what the PLC says and what the parts came to.  Return why everything must begin anew, or "".

        Args:
            status: the PLC's.
            crowded: parts that came too close to their forerunners, cumulative.
            now_ns: monotonic.
        """
        flags, guard, latched = status.flags, self.guard, False
        # Else nothing can have come up, and nothing stands that could have ended.
        if (flags, self.mode) != self._seen or status.count == self._count or self.alarms.any:
            latched = guard.conditions(self._conditions(status), now_ns)
        self._seen, self._count = (flags, self.mode), status.count
        if flags & RESET and not self._reset_held:  # before what has come up since is looked at
            self.reset("the PLC")
        self._reset_held = bool(flags & RESET)
        if self.mode.admits:  # in the other modes no part can have a verdict
            for how in self._ended:
                latched |= guard.ended(how)
        self._ended.clear()
        if (more := crowded - self._crowded) > 0:
            self._crowded = crowded
            latched |= guard.crowded(more)
        if status.gated is not self._gated:  # equal rings are one object, see ``signals``
            self._gated = status.gated
            for number, action, confirmation in status.gated:
                if confirmation:
                    latched |= guard.confirmation(number, action == ACTION_GOOD, confirmation == CONFIRMED)
        self._tell()
        return "; ".join(self.alarms.standing.values()) if latched else ""

    def _conditions(self, status: PlcStatus) -> Conditions:
        flags = status.flags
        return Conditions(
            bin_full=bool(flags & BIN_FULL),
            air_low=bool(flags & AIR_LOW),
            eye_blocked=bool(flags & EYE_BLOCKED),
            encoder_lost=bool(flags & ENCODER_LOST) and self.mode is not Mode.JOG,
            belt_moving=bool(flags & BELT_MOVING),
            count=status.count,
        )

    def set_mode(self, name: str) -> tuple[bool, str]:
        """Change the mode.  Return whether it was done, and what to say of it."""
        try:
            mode = Mode(name)
        except ValueError:
            return False, f"There is no mode {name!r}; there are {', '.join(m.value for m in Mode)}."
        if mode is Mode.BYPASS and not self._accept_escapes:
            return False, "Mode bypass lets parts through uninspected, and accept_escapes = false forbids that."
        self.mode = mode
        self.alarms.condition("bypass", mode is Mode.BYPASS)
        _log.warning("Mode %s: %s.", mode.value, mode.text)
        self._note("mode", f"Mode {mode.value}: {mode.text}.", mode=mode.value)
        self._tell()
        return True, f"Mode {mode.value}: {mode.text}."

    def reset(self, who: str) -> str:
        """Clear the alarms whose condition has ended; return what to say of it."""
        cleared = self.alarms.reset()
        self.guard.reset()
        _log.warning("Reset by %s: cleared %s.", who, ", ".join(cleared) or "nothing")
        self._note("reset", f"Reset by {who}.", user=who, cleared=cleared)
        self._tell()
        stands = ", ".join(self.alarms.standing) or "nothing"
        return f"Cleared {', '.join(cleared) or 'nothing'}; {stands} still stands."

    def _tell(self) -> None:
        standing = self.alarms.standing
        if standing != self._standing:
            before, self._standing = self._standing, standing
            for name in before.keys() - standing.keys():
                self._note("alarm_cleared", before[name], alarm=name)
            for name in standing.keys() - before.keys():
                self._note("alarm", standing[name], alarm=name)
        state = {"mode": self.mode.value, "alarms": self.alarms.latched}
        if state != self._told:
            self._told = state
            self._changed(state)
