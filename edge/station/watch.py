"""Health and drift, as the station's loop sees them: what is measured, what stands, and what keeps parts away.

All of it belongs to the signal thread, and nothing here waits: a part costs a few additions, a picture that is looked
at costs the copy of a small sample, after its verdict.  Pictures, machine and files are a thread's own (`Looker`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.clock import NS_PER_S, now_ns
from edge.config import StationConfig
from edge.core.alarms import ALARMS
from edge.core.drift import Drift, Learnt, RateDrift, Statistics, Wanted, threshold
from edge.core.lasting import Lasting
from edge.core.outcome import Outcome
from edge.core.part import Part
from edge.core.pool import FramePool, Lease
from edge.errors import ControlError
from edge.record.health import Carried, HealthFolder
from edge.station import machine
from edge.station.looker import Looker
from edge.station.orders import Order
from edge.station.pairs import Pair
from edge.wire.control import Command

_log = logging.getLogger(__name__)

SECONDS_PER_YEAR = 31_557_600
BASELINES_KEPT = 16
"""Models with their recipes, those used last."""

KEEP_NS = 60 * NS_PER_S
"""Between two writings of a baseline that is being learnt, and of how far the tests are."""

BLIND_NS = 30 * NS_PER_S
"""A sample that waits for longer will not be looked at soon: the disk of ``health.folder`` stands still."""

PACE_PARTS = 64
"""Over which the throughput is averaged, exponentially."""

HELD = "No part is let in."
STOOD = (
    "It stood when the station ended, or what stood then cannot be read, and nobody has said that it is over"
    " (edge control PATH health clear)."
)
DRIFTS = ("reject_drift", "score_drift")
ACTIONS = ("reference", "clear", "relearn")


class Watch:
    """Watches parts, pictures and machine.

    Args:
        config: of the station; ``health.folder`` is set.
        pool: where frames lie.
        read: tells of the machine.
        clock: gives monotonic nanoseconds.

    Raises:
        ConfigError: ``health.folder`` cannot be used.
    """

    def __init__(
        self,
        config: StationConfig,
        pool: FramePool,
        read: Callable[[], machine.Machine] = machine.read,
        clock: Callable[[], int] = now_ns,
    ) -> None:
        health = config.health
        assert health.folder is not None
        folder = HealthFolder(Path(health.folder))
        self._pool, self._config = pool, health
        self._looker = Looker(config, pool.shape, folder, read, clock)
        self._reactions = {**health.reactions(), "health": "alarm"}
        self._latched = health.needs_person()
        carried = folder.carried() or Carried(sorted(self._latched))  # unreadable: all that may hold does
        self._stood = [name for name in carried.holds if name in self._latched]
        self._held = set(self._stood)  # of those that a person ends: as carried over
        self._carried_ns = 0
        self._rest_ns = int(NS_PER_S / health.pictures_per_s)
        self._sampled_ns = -self._rest_ns
        baseline = health.baseline
        nats = threshold(parts_per_year(config), baseline.false_alarms_per_year)
        self._wanted = Wanted(
            baseline.parts,
            baseline.rejects,
            baseline.most_parts,
            baseline.findings,
            health.reject.factor,
            health.score.factor,
            nats,
        )
        self._kept = folder.baselines()
        self._tests: dict[str, Statistics] = {  # of drifts that are not in ``_drifts`` yet
            name: statistics for name, statistics in carried.tests.items() if name in self._kept
        }
        self._drifts: dict[str, Drift] = {}
        self._pair: Pair | None = None  # of the part before
        self._drift = Drift(Learnt(), self._wanted)
        self._name = ""
        self._learning, self._unsaved = True, False
        self._kept_ns = 0
        self._pace = Pace(int(health.throughput.stop_s * NS_PER_S))
        self._lasting = Lasting(PACE_PARTS)
        self._drifting: dict[str, str] = {}
        self._slow: dict[str, str] = {}

    def start(self) -> None:
        """Start the thread, once."""
        self._looker.start()
        self._carry()  # in place of a file that was damaged

    def close(self) -> None:
        """Keep what was learnt, and end the thread."""
        if self._unsaved:
            self._keep()
        self._carry()
        self._looker.close()

    # -- the loop -----------------------------------------------------------------------------------------------------

    def look(self, lease: Lease, now: int) -> None:
        """Take a sample of a frame whose verdict has left, if it is time for one."""
        looker = self._looker
        if looker.busy or now - self._sampled_ns < self._rest_ns:
            return
        self._sampled_ns = now
        looker.sampler.take(self._pool.frame(lease), now, looker.sample)
        looker.looked_at()

    def concluded(self, part: Part, pair: Pair | None) -> None:
        """Take a closed part, and the pair that judged it."""
        self._keep_pace(part.trigger.t0_ns)
        verdict = part.verdict
        if pair is None or verdict is None or verdict.outcome is Outcome.NO_DECISION:
            return
        if pair is not self._pair:
            self._turn_to(pair)
        findings = verdict.findings
        self._drift.add(verdict.outcome is Outcome.REJECT, max(f.score for f in findings) if findings else None)
        if self._learning or self._unsaved:
            self._learn(part.trigger.t0_ns)
        self._drifting = _drifting(self._drift)
        if part.trigger.t0_ns - self._carried_ns > KEEP_NS and not self._looker.keeping:
            self._carried_ns = part.trigger.t0_ns
            self._carry()

    def standing(self, now: int) -> dict[str, str]:
        """Return what is wrong, by the name of its alarm, in words."""
        found = {**dict.fromkeys(self._stood, STOOD), **self._looker.standing, **self._drifting}
        if self._slow and self._pace.parts_per_min(now):  # one that stands is not slow
            found |= self._slow
        if self._looker.busy and now - self._sampled_ns > BLIND_NS:
            found["health"] = "Pictures wait to be looked at."
        return {name: text for name, text in found.items() if self._reactions[name] != "off"}

    def alarms(self, now: int) -> dict[str, str]:
        """Return the alarms that stand, with what was measured."""
        return {name: f"{ALARMS[name].text} {text}".strip() for name, text in self.standing(now).items()}

    def holds(self, now: int) -> dict[str, str]:
        """Return the alarms for which nobody is let in, without numbers that change: each change is recorded."""
        holds = [name for name in self.standing(now) if self._reactions[name] == "hold"]
        held = {name for name in holds if name in self._latched}
        if held != self._held:
            self._held = held
            self._carry()
        return {name: f"{ALARMS[name].text} {HELD}" for name in holds}

    def gauges(self, now: int) -> dict[str, float]:
        """Return all that is measured, by name."""
        drift, pace = self._drift, self._pace.parts_per_min(now)
        gauges = {**self._looker.look.gauges, "parts_per_min": pace, "baseline_parts": float(drift.learnt.parts)}
        if drift.rejects is not None:
            gauges |= {"reject_rate": drift.rejects.recent, "reject_rate_baseline": drift.rejects.baseline}
        if drift.scores is not None:
            gauges["score_drift"] = drift.scores.recent - drift.scores.baseline
        return {name: round(value, 6) for name, value in gauges.items()}

    def _keep_pace(self, t0_ns: int) -> None:
        self._pace.add(t0_ns)
        bound = self._config.throughput.min_parts_per_min
        slow = 0 < self._pace.parts_per_min(t0_ns) < bound
        self._slow = self._lasting.take({"throughput_low": f"The bound is {bound:g} a minute."} if slow else {})

    # -- baselines ----------------------------------------------------------------------------------------------------

    def _turn_to(self, pair: Pair) -> None:
        """Go on with the baseline of another model or recipe."""
        if self._unsaved:
            self._keep()
        identity, recipe = pair.model.identity, pair.recipe
        name = f"{identity.model} {identity.engine} {identity.precision}, recipe {recipe.name} {recipe.number()}"
        if name not in self._drifts:
            learnt = self._kept.get(name, Learnt())
            self._drifts[name] = Drift(_copy(learnt), self._wanted)
            if name in self._tests:
                self._drifts[name].resume(self._tests.pop(name))
        self._pair, self._name, self._drift = pair, name, self._drifts[name]
        self._learning = self._drift.learning
        self._drifts = _last(self._drifts, name)
        self._kept = _last({name: _copy(self._drift.learnt), **self._kept}, name)

    def _learn(self, t0_ns: int) -> None:
        if self._learning and not self._drift.learning:
            _log.info("The baseline of %s is learnt.", self._name)
        self._learning, self._unsaved = self._drift.learning, True
        if (not self._learning or t0_ns - self._kept_ns > KEEP_NS) and not self._looker.keeping:
            self._kept_ns = t0_ns
            self._keep()

    def _keep(self) -> None:
        self._unsaved = False
        self._kept[self._name] = _copy(self._drift.learnt)
        self._looker.keep(dict(self._kept))

    def _carry(self) -> None:
        """Have written what a restart must neither lift nor forget."""
        tests = {name: drift.statistics() for name, drift in self._drifts.items()}
        self._looker.carry(Carried(sorted(self._held), {**self._tests, **tests}))

    # -- commands -----------------------------------------------------------------------------------------------------

    def receiver(self, post: Callable[[Order], None]) -> Callable[[Command], None]:
        """Return what takes the command ``health``, with the argument ``action``, in the control thread."""

        def receive(command: Command) -> None:
            action = command.arguments.get("action")
            if command.arguments.keys() != {"action"} or action not in ACTIONS:
                command.answer(False, f"health: action is one of {', '.join(ACTIONS)}, not {action!r}.")
            else:
                post(Order(command, act=lambda stands: self._act(str(action)) if stands else ""))

        return receive

    def details(self) -> dict[str, Any]:
        """Return how health is, for a person who asks.  Any thread may call this."""
        taken = self._looker.taken or "none"
        if left := self._looker.taking:
            taken += f", {left} pictures to go for a new one"
        return {"health": {"reference taken": taken, "baseline of": self._name or "none yet", **self.gauges(now_ns())}}

    def _act(self, action: str) -> str:
        if action == "reference":
            self._looker.take_reference()
            return "The next pictures become the camera's reference; see the status."
        if action == "relearn":
            if self._pair is None:
                raise ControlError(
                    "No part was decided on since the start, so no baseline is in force.", "ask again once parts come."
                )
            self._drift = self._drifts[self._name] = Drift(Learnt(), self._wanted)
            self._learning, self._drifting = True, {}
            self._stood = [name for name in self._stood if name not in DRIFTS]
            self._keep()
            return "The baseline is learnt anew, from the next parts."
        self._looker.clear()
        for drift in self._drifts.values():
            drift.forget()
        self._drifting, self._stood, self._tests = {}, [], {}
        self._held = set()
        self._carry()
        return "What was measured is forgotten; baseline and reference stay. What is still wrong will be found again."


class Pace:
    """How quickly parts come while the line runs.

    Args:
        stop_ns: a gap beyond this is a stop.
    """

    def __init__(self, stop_ns: int) -> None:
        self._stop_ns = stop_ns
        self._last_ns = 0
        self._gap_ns = 0.0
        self._gaps = 0

    def add(self, t0_ns: int) -> None:
        """Take the time of a part's edge."""
        gap_ns, self._last_ns = t0_ns - self._last_ns, max(t0_ns, self._last_ns)
        if 0 < gap_ns <= self._stop_ns:
            self._gaps += 1
            self._gap_ns += (gap_ns - self._gap_ns) / min(self._gaps, PACE_PARTS)

    def parts_per_min(self, now: int) -> float:
        """Return the present throughput, 0 while the line stands or too few parts have come to tell."""
        if self._gaps < PACE_PARTS or now - self._last_ns > self._stop_ns:
            return 0.0
        return 60 * NS_PER_S / self._gap_ns


def parts_per_year(config: StationConfig) -> float:
    """Return how many parts come at most in a year that never stops."""
    period_s = config.line.pitch_min_mm / config.line.speed_max_mm_s
    if config.trigger.kind == "timer":
        period_s = config.trigger.period_ms / 1000
    return SECONDS_PER_YEAR / period_s


def _drifting(drift: Drift) -> dict[str, str]:
    found: dict[str, str] = {}
    if drift.rejects is not None and drift.rejects.direction:
        found["reject_drift"] = f"{_change(drift.rejects)} of the parts."
    if drift.scores is not None and drift.scores.direction:
        found["score_drift"] = f"{_change(drift.scores)} of the scores lie above the baseline's median."
    return found


def _change(rate: RateDrift) -> str:
    return f"{100 * rate.recent:.3g} %, and {100 * rate.baseline:.3g} % while the baseline was learnt:"


def _copy(learnt: Learnt) -> Learnt:
    return Learnt(learnt.parts, learnt.rejects, list(learnt.scores))


def _last(entries: dict[str, Any], name: str) -> dict[str, Any]:
    """Return ``entries`` with ``name`` last, and no more than are kept."""
    others = [(key, value) for key, value in entries.items() if key != name]
    return dict([*others[1 - BASELINES_KEPT :], (name, entries[name])])
