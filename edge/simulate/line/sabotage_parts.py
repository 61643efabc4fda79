"""Parts of station and gateway without one protection, or with one planted bug."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge.core.ledger import PartLedger
from edge.core.match import Kind, Match, Matcher
from edge.core.outcome import Disposition, Outcome
from edge.core.part import FrameInfo, Part, Verdict
from edge.core.register import Register
from edge.core.session import Decision, Geometry, Permit, Session
from edge.gateway.link import PlcLink
from edge.gateway.server import Gateway
from edge.station.loop import Station
from edge.station.pairs import Pair, Pairs
from edge.wire.publisher import Publisher


class DefaultPass(Publisher):
    """A part without a decision is reported as PASS."""

    def verdict(self, part: Part) -> bool:
        before = part.verdict
        if before is not None and before.outcome is Outcome.NO_DECISION:
            part.verdict = Verdict(Outcome.PASS, "clean")
        sent = super().verdict(part)
        part.verdict = before
        return sent


class SilentPublisher(Publisher):
    """A part without a decision is not worth a message."""

    def verdict(self, part: Part) -> bool:
        if part.verdict is not None and part.verdict.outcome is Outcome.NO_DECISION:
            return True
        return super().verdict(part)


class FifoMatcher(Matcher):
    """A frame belongs to the part that has waited longest."""

    def _find(self, info: FrameInfo) -> Match:
        if self._waiting:
            return Match(Kind.MATCHED, info, (next(iter(self._waiting)),))
        return super()._hold_or_stray(info)


class FencelessRegister(Register):
    """A session counts at once, for whatever is on the belt."""

    def grant(self, station: int, count: int) -> Session:
        session = super().grant(station, count)
        behind = (session.fence - 4 * self._g.gate) % (1 << 32)
        self.session = replace(session, fence=behind)
        return self.session


class TimelessRegister(Register):
    """A verdict is in time whenever it comes."""

    def verdict(self, session: int, number: int, count: int, outcome: Outcome, _count_now: int) -> Decision:
        return super().verdict(session, number, count, outcome, count)

    def advance(self, count_now: int) -> list[Decision]:
        return super().advance((count_now - self._g.gate) % (1 << 32))


class SlowBeltLink(PlcLink):
    """The belt is taken to run on at the lowest speed, whatever it does: a ramp is not foreseen."""

    def count_now(self, now_ns: int) -> int:
        if self.status is None:
            return 0
        return (self.status.count + int(0.003 * (now_ns - self._read_ns) / 1000)) % (1 << 32)


class SlowBeltRegister(Register):
    """The commit point is where it would be if the belt crept."""

    def __init__(self, geometry: Geometry, *args: Any, **kwargs: Any) -> None:
        super().__init__(replace(geometry, commit=geometry.gate), *args, **kwargs)


class ForgetfulRegister(Register):
    """Every verdict on a part is its first."""

    def verdict(self, session: int, number: int, count: int, outcome: Outcome, count_now: int) -> Decision:
        if (slot := self._slots.get(number)) is not None:
            slot.permitted = False
        elif (ended := self._ended.get(number)) is not None and session == self.session.station:
            permit = Permit(number, ended.count, self.session)
            return Decision(number, ended.disposition, permit if outcome is Outcome.PASS else None)
        return super().verdict(session, number, count, outcome, count_now)


class SessionlessRegister(Register):
    """The session of a message is not looked at."""

    def verdict(self, _session: int, number: int, count: int, outcome: Outcome, count_now: int) -> Decision:
        return super().verdict(self.session.station, number, count, outcome, count_now)


class WordlessRegister(Register):
    """What the PLC says of the gate is not believed."""

    def executed(self, number: int) -> bool:
        self.voided(number, "no_word")
        return False


class MumblingRegister(Register):
    """Every answer to the station is the same."""

    def _answer(self, number: int, _disposition: Disposition, permit: Permit | None = None) -> Decision:
        return super()._answer(number, Disposition.DUPLICATE, permit)


class UnwrappedRegister(Register):
    """Numbers only grow: one that wrapped is an old one."""

    def plc_part(self, number: int, count: int, count_now: int) -> Decision | None:
        if self._highest is not None and number < self._highest:
            return None
        return super().plc_part(number, count, count_now)


class TrustingLink(PlcLink):
    """The encoder never jumps."""

    def _jump(self, *_: Any) -> int:
        return 0


class BackwardsRegister(Register):
    """A belt that runs backwards changes nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._g = replace(self._g, backlash=1 << 29)
        self._belt._g = self._g


class PassingRegister(Register):
    """A part for which no verdict came gets a permit."""

    def plc_part(self, number: int, count: int, count_now: int) -> Decision | None:
        self.bypass = True
        return super().plc_part(number, count, count_now)


class PlacelessRegister(Register):
    """A verdict's count is not compared."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._belt._g = replace(self._belt._g, match=1 << 30)


class GaplessLedger(PartLedger):
    """A number that the counter skips is nobody's."""

    def lose(self, *_: Any) -> list[Part]:
        return []


class RewritingLedger(PartLedger):
    """A result that comes late replaces the outcome."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._closed: dict[int, Part] = {}

    def close(self, number: int, verdict: Verdict, now_ns: int, count_at_most: int | None = None) -> Part | None:
        part = self._closed.pop(number, None) if number not in self._open else None
        if part is not None:
            part.verdict = verdict
            return part
        return super().close(number, verdict, now_ns, count_at_most)

    def expire(self, now_ns: int, count_at_most: int | None = None) -> list[Part]:
        gone = super().expire(now_ns, count_at_most)
        self._closed.update((part.number, part) for part in gone)
        return gone


class Newest(dict[int, Pair]):
    """By part number, the pair in force, whatever was when the part was triggered."""

    def __init__(self, pairs: Pairs) -> None:
        super().__init__()
        self._pairs = pairs

    def __getitem__(self, _number: int) -> Pair:
        return self._pairs.current


class UnfencedStation(Station):
    """A recipe holds from the command on, also for parts that were triggered before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._judged_by = Newest(self._pairs)


class UnwatchedGateway(Gateway):
    """The station's connection stands, so the station is alive."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stations._stale_ns = 1 << 62
