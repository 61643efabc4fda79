"""Watches what verdicts cannot tell: runs of rejects, the sensor behind the gate, air, bin, eye and encoder.  Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.config import GuardConfig, LineConfig
from edge.core.alarms import Alarms

_REMEMBERED = 64


@dataclass(frozen=True)
class Conditions:
    """What the PLC says of its inputs."""

    bin_full: bool
    air_low: bool
    eye_blocked: bool
    encoder_lost: bool
    belt_moving: bool
    count: int


def alarms(config: GuardConfig) -> Alarms:
    """Return alarms with the configured reactions, none standing."""
    reactions = {name.removeprefix("on_"): getattr(config, name) for name in GuardConfig.model_fields if "on_" in name}
    return Alarms(reactions)


class Guard:
    """Raises alarms.

    Args:
        config: limits and reactions.
        line: whose speeds say how long a count may stand.
        alarms: where they are raised.

    Attributes:
        confirmed, contradicted: parts that the sensor behind the gate saw where they should be, and where not.
    """

    def __init__(self, config: GuardConfig, line: LineConfig, alarms: Alarms) -> None:
        self._config, self._alarms = config, alarms
        self._still_ns = int(line.pitch_min_mm / line.speed_min_mm_s * 1e9)  # a pitch, in ns
        self._rejects = self._undecided = self._unannounced = self._crowded = 0
        self._recent: deque[bool] = deque(maxlen=config.reject_rate_parts)
        self._rejected_recently = 0
        self._heard_of: deque[int] = deque(maxlen=_REMEMBERED)
        self._count: int | None = None
        self._moved_ns = 0
        self.confirmed = self.contradicted = 0

    def reset(self) -> None:
        """Begin counting anew."""
        self._rejects = self._undecided = self._unannounced = self._crowded = self._rejected_recently = 0
        self._recent.clear()

    def resume(self, same_plc: bool) -> None:
        """Begin anew with the PLC; another start of its program may give known numbers to other parts."""
        self._count = None
        if not same_plc:
            self._heard_of.clear()

    def ended(self, how: str) -> bool:
        """Take how a part ended: "permitted", or why it was rejected.  True where a new alarm is latched."""
        self._rejects = self._rejects + 1 if how == "reject" else 0
        if how in ("permitted", "reject"):
            self._undecided = 0
        elif _is_undecided(how):
            self._undecided += 1
        self._unannounced = self._unannounced + 1 if how == "unannounced" else 0
        latched = self._over("consecutive_unannounced", self._unannounced, self._config.consecutive_unannounced)
        latched |= self._over("consecutive_rejects", self._rejects, self._config.consecutive_rejects)
        latched |= self._over("consecutive_no_decisions", self._undecided, self._config.consecutive_no_decisions)
        return self._rate(how) or latched

    def crowded(self, parts: int) -> bool:
        """Take how many more parts came too close to their forerunners.  True where a new alarm is latched."""
        self._crowded += parts
        return self._over("touching_parts", self._crowded, self._config.touching_parts)

    def conditions(self, now: Conditions, now_ns: int) -> bool:
        """Take the PLC's inputs.  True where a new alarm is latched."""
        if now.count != self._count or not now.belt_moving:
            self._count, self._moved_ns = now.count, now_ns
        frozen = now_ns - self._moved_ns > self._still_ns
        latched = [
            self._alarms.condition("bin_full", now.bin_full),
            self._alarms.condition("air_low", now.air_low),
            self._alarms.condition("eye_blocked", now.eye_blocked),
            self._alarms.condition("encoder_lost", now.encoder_lost or frozen),
        ]
        return any(latched)

    def confirmation(self, number: int, good: bool, agrees: bool) -> bool:
        """Take what the sensor on the good side says of a part, once a part.  True where a new alarm is latched.

        Args:
            number: of the part.
            good: the gate was open for it.
            agrees: the sensor saw it if it was, and did not see it if it was not.
        """
        if number in self._heard_of:
            return False
        self._heard_of.append(number)
        if agrees:
            self.confirmed += 1
            return False
        self.contradicted += 1
        return self._alarms.happened("missing" if good else "contradicted", f"Part {number}.")

    def _over(self, name: str, value: int, limit: int) -> bool:
        return bool(limit) and value >= limit and self._alarms.happened(name, f"{value}, limit {limit}.")

    def _rate(self, how: str) -> bool:
        config = self._config
        if not (how in ("permitted", "reject") or _is_undecided(how)) or not config.reject_rate:
            return False
        if len(self._recent) == config.reject_rate_parts:
            self._rejected_recently -= self._recent[0]
        self._recent.append(how != "permitted")
        self._rejected_recently += how != "permitted"
        full = len(self._recent) == config.reject_rate_parts
        if not full or self._rejected_recently <= config.reject_rate * config.reject_rate_parts:
            return False
        share = self._rejected_recently / config.reject_rate_parts
        return self._alarms.happened("reject_rate", f"{share:.0%} of {config.reject_rate_parts} parts.")


def _is_undecided(how: str) -> bool:
    """True where the line failed to decide on a part in time.  Parts behind a fence or a doubt tell nothing of that."""
    return how in ("no_decision", "late", "unanswered") or how.startswith("permit_")
