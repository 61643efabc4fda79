"""Which frames become evidence, and what that costs the loop: nothing that it would have to wait for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import NS_PER_S
from edge.config import EvidenceConfig, StationConfig
from edge.core.outcome import CAUSES, Outcome
from edge.core.part import Finding, Part, Verdict
from edge.core.pool import FramePool, Lease, Purpose
from edge.core.rules import Rule, close_call, decide
from edge.record.evidence.live import LivePublisher
from edge.record.evidence.writer import EvidenceWriter, Shot
from edge.station import evidence as evidences
from edge.station.evidence import _EARLY, _LATE, FrameEvidence, reason_to_keep
from edge.station.interfaces import Pictures, Tape
from edge.wire.messages import EvidenceStatus, PartRecord
from tests.support_evidence import CLOSE, LOST, PASS, REJECT, SPARE, closed, config, framed, pool, record
from tests.support_station import RECIPE, Rig

# -- the decision -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", CAUSES.values(), ids=lambda cause: cause.name)
def test_every_end_but_a_plain_pass_is_kept(cause: Any) -> None:
    verdict = Verdict(cause.outcome, cause.name)
    expected = {Outcome.REJECT: "reject", Outcome.NO_DECISION: "no_decision", Outcome.PASS: ""}[cause.outcome]
    assert reason_to_keep(verdict, False, draw=0.0, sample_share=0.0) == expected
    assert reason_to_keep(verdict, True, draw=0.0, sample_share=0.0) == "challenge"


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1))
def test_of_plain_passes_a_share_is_kept_and_close_ones_all(draw: float, share: float) -> None:
    assert reason_to_keep(PASS, False, draw, share) == ("sample" if draw < share else "")
    assert reason_to_keep(CLOSE, False, draw, share) == "near"


@pytest.mark.parametrize(
    ("score", "cls", "close"),
    [(0.4999, "pit", True), (0.4, "pit", True), (0.3999, "pit", False), (0.45, "other", False), (0.0, "pit", False)],
)
def test_a_pass_is_close_up_to_the_margin_where_a_rule_looks(score: float, cls: str, close: bool) -> None:
    rules = (Rule("pits", ("pit",), 0.5), Rule("sure", (), 0.95))
    finding = Finding(cls, score, (0.0, 0.0, 4.0, 4.0))
    assert close_call([finding], rules, 0.1) == ((finding,) if close else ())


def test_a_finding_that_is_too_small_for_its_rule_is_not_close() -> None:
    finding = Finding("pit", 0.9, (0.0, 0.0, 4.0, 4.0))
    assert close_call([finding], (Rule("large", (), 0.5, min_area_px=100.0),), 0.5) == ()


@given(st.lists(st.floats(0, 1), max_size=5), st.floats(0, 0.5))
def test_what_is_close_would_be_rejected_by_lower_rules(scores: list[float], margin: float) -> None:
    rules = (Rule("any", (), 0.5),)
    findings = [Finding("pit", score, (0.0, 0.0, 4.0, 4.0)) for score in scores if score < 0.5]  # of a pass
    lowered = decide(findings, (Rule("any", (), 0.5 - margin),), saturated=False)
    assert bool(close_call(findings, rules, margin)) == (lowered.outcome is Outcome.REJECT)


# -- what carries it out ----------------------------------------------------------------------------------------------


class Thread:
    """In the place of the evidence thread: keeps what it is given until the test lets go."""

    def __init__(self, frames: FramePool) -> None:
        self.pool, self.shots, self.drops = frames, list[Shot](), list[str]()
        self.keeps, self.shows, self.looks = True, False, 0

    def put(self, shot: Shot) -> None:
        self.shots.append(shot)

    def drop(self, cause: str) -> None:
        self.drops.append(cause)

    def status(self) -> EvidenceStatus:
        self.looks += 1
        return EvidenceStatus(waiting=len(self.shots))

    def alarms(self) -> dict[str, str]:
        return {"evidence": "no disk"} if self.drops else {}

    def work(self) -> None:
        for shot in self.shots:
            self.pool.release(shot.lease)


class Offers:
    """The hook with its surroundings in the test's hands."""

    def __init__(self, draw: float = 0.99, **values: Any) -> None:
        self.pool, self.now = pool(), 10 * NS_PER_S
        self.thread = Thread(self.pool)
        writer = cast(EvidenceWriter, self.thread)
        self.hook = FrameEvidence(
            config(None, **values), self.pool, writer, lambda number: number == 99, lambda: self.now, lambda: draw
        )

    def offer(self, part: Part) -> bool:
        """Offer a part's frame, as the loop does when it is done with it."""
        lease = framed(self.pool)
        kept = self.hook.keep(lease, part)
        if not kept:
            self.pool.release(lease)
        return kept

    def reasons(self) -> list[str]:
        return [shot.reason for shot in self.thread.shots]


def test_frames_are_taken_over_while_evidence_has_a_spare_slot_and_no_longer() -> None:
    offers = Offers()
    assert [offers.offer(closed(n)) for n in range(SPARE + 2)] == [True] * SPARE + [False] * 2
    assert offers.thread.drops == ["no_slot"] * 2
    assert offers.pool.occupancy()[Purpose.EVIDENCE.value] == SPARE
    assert not offers.offer(closed(5, PASS)), "which nobody wanted"
    assert offers.thread.drops == ["no_slot"] * 2
    offers.thread.work()
    assert offers.offer(closed(9))


def test_each_is_kept_for_its_reason() -> None:
    offers = Offers(draw=0.0)
    for part in (closed(1), closed(2, LOST)):
        assert offers.offer(part)
    offers.thread.work()
    offers.thread.shots.clear()
    for part in (closed(3, CLOSE), closed(4, PASS)):
        assert offers.offer(part)
    assert offers.reasons() == ["near", "sample"]
    offers.thread.work()
    assert offers.offer(closed(99, PASS))
    ended = closed(5, PASS)
    offers.hook.recorded(ended, record(5, PASS, challenge="plate 3"))
    assert offers.offer(ended)
    assert offers.reasons()[-2:] == ["challenge", "challenge"]


def test_without_a_folder_nothing_is_kept_and_nothing_counted() -> None:
    offers = Offers()
    offers.thread.keeps = False
    assert not offers.offer(closed(1))
    offers.hook.missed(closed(2))
    assert (offers.thread.shots, offers.thread.drops) == ([], [])


def test_a_part_that_is_still_open_is_no_evidence() -> None:
    assert not Offers().offer(closed(1, None))


def test_frames_are_shown_at_most_so_often_and_only_to_somebody() -> None:
    offers = Offers(live_per_s=5.0)
    assert not offers.offer(closed(1, PASS)), "nobody looks"
    offers.thread.shows = True
    shown = []
    for n in range(10):  # ten frames a second
        shown.append(offers.offer(closed(n, PASS)))
        offers.thread.work()
        offers.thread.shots.clear()
        offers.now += NS_PER_S // 10
    assert shown == [True, False] * 5
    offers.now += NS_PER_S
    assert offers.offer(closed(20))
    (shot,) = offers.thread.shots
    assert (shot.reason, shot.shown) == ("reject", True), "once for both"


def test_the_record_finds_its_picture_whenever_it_comes() -> None:
    offers = Offers()
    late, early, none = closed(1), closed(2), closed(3, PASS)
    assert offers.offer(late)
    assert offers.thread.shots[0].record is None
    offers.hook.recorded(late, record(1))
    offers.hook.recorded(early, record(2))
    offers.hook.recorded(none, record(3, PASS))
    assert offers.offer(early)
    assert [shot.record.part for shot in offers.thread.shots if shot.record is not None] == [1, 2]
    assert not offers.offer(none)
    assert (offers.hook._offered, offers.hook._early) == ({}, {})


def test_parts_of_one_number_are_told_apart() -> None:
    offers = Offers()
    first, second = closed(7), closed(7)
    offers.offer(first)
    offers.offer(second)
    offers.hook.recorded(second, record(7, session=2))
    offers.hook.recorded(first, record(7, session=1))
    records = [cast(PartRecord, shot.record).session for shot in offers.thread.shots]
    assert records == [1, 2]


def test_a_part_that_hangs_keeps_its_record_however_many_pass_meanwhile() -> None:
    offers = Offers()
    hung = closed(1, LOST)
    offers.hook.recorded(hung, record(1, LOST))
    for number in range(100, 100 + 2 * _EARLY):  # each frame comes back, nobody wants it, and the record follows
        passed = closed(number, PASS)
        assert not offers.offer(passed)
        offers.hook.recorded(passed, record(number, PASS))
    assert (len(offers.hook._early), offers.hook._offered) == (1, {})
    assert offers.offer(hung)
    assert offers.thread.shots[0].record is not None


def test_frames_whose_record_never_comes_are_let_go() -> None:
    offers = Offers()
    parts = [closed(number, PASS) for number in range(2 * _LATE)]
    for part in parts:
        offers.offer(part)
    assert len(offers.hook._offered) == _LATE


def test_a_writer_that_cannot_start_leaves_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publishers: list[LivePublisher] = []

    def refused(*rest: Any) -> None:
        publishers.append(next(one for one in rest if isinstance(one, LivePublisher)))
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(evidences, "EvidenceWriter", refused)
    settings = StationConfig(recipe=RECIPE, evidence=EvidenceConfig(live=f"ipc://{tmp_path}/live"))
    with zmq.Context[Any]() as context, pytest.raises(RuntimeError):
        evidences.opened(settings, pool(), context).__enter__()
    assert publishers[0]._socket.closed


def test_records_of_frames_that_never_come_back_are_let_go() -> None:
    offers = Offers()
    for number in range(2 * _EARLY):
        offers.hook.recorded(closed(number), record(number))
    assert len(offers.hook._early) == _EARLY
    frameless = closed(1)
    frameless.frame = None
    offers.hook._early.clear()
    offers.hook.recorded(frameless, record(1))
    assert not offers.hook._early


def test_a_frame_that_a_recording_took_is_counted_where_it_was_wanted() -> None:
    offers = Offers(draw=0.0)
    for part in (closed(1), closed(2, CLOSE), closed(3, PASS)):
        offers.hook.missed(part)
    assert offers.thread.drops == ["recording"] * 2, "a sample is drawn from what is there"


def test_the_thread_is_asked_ten_times_a_second_at_most() -> None:
    offers = Offers()
    for _ in range(100):
        offers.hook.status()
        offers.hook.alarms()
        offers.now += NS_PER_S // 100
    assert offers.thread.looks == 10


# -- in the station's loop --------------------------------------------------------------------------------------------


class Kept:
    """Takes what the loop offers, or nothing."""

    def __init__(self, frames: FramePool, takes: bool = True) -> None:
        self.pool, self.takes = frames, takes
        self.seen: list[tuple[int, str]] = []
        self.missing: list[int] = []

    def keep(self, lease: Lease, part: Part) -> bool:
        assert part.verdict is not None, "its verdict is there"
        assert self.pool.frame(lease) is not None
        self.seen.append((part.number, part.verdict.cause))
        if self.takes:
            self.pool.release(lease)
        return self.takes

    def missed(self, part: Part) -> None:
        self.missing.append(part.number)


def rig(takes: bool = True, tape: Tape | None = None, **how: Any) -> tuple[Rig, Kept]:
    made = Rig(tape=tape, **how)
    kept = Kept(made.pool, takes)
    made.station._frames._pictures = cast(Pictures, kept)
    return made, kept


@pytest.mark.parametrize("takes", [True, False])
def test_the_loop_offers_a_frame_once_its_verdict_was_sent(takes: bool) -> None:
    made, kept = rig(takes)
    made.grant()
    for number, verdict in ((1, PASS), (2, REJECT)):
        made.now += 100_000_000
        made.post(made.edge(number))
        made.post(made.frame(number))
        assert not [n for n, _ in kept.seen if n == number]
        made.decide(number, verdict)
    assert kept.seen == [(1, "clean"), (2, "rule")]
    assert made.free()


def test_a_part_that_was_closed_by_its_deadline_is_offered_when_its_frame_comes_back() -> None:
    made, kept = rig()
    made.grant()
    made.post(made.edge(1))
    made.post(made.frame(1))
    made.wait_ms(200)
    assert made.reports.causes()[1] in ("compute_timeout", "commit_passed")
    assert kept.seen == []
    made.decide(1, PASS)
    assert kept.seen == [(1, made.reports.causes()[1])]
    assert made.free()


def test_a_frame_for_which_inspection_had_no_slot_is_offered() -> None:
    made, kept = rig(inspections=0)
    made.grant()
    made.part(1)
    assert kept.seen == [(1, "pool_exhausted")]
    assert made.free()


def test_a_frame_whose_part_nobody_knows_is_offered_to_nobody() -> None:
    made, kept = rig()
    made.grant()
    made.post(made.frame(1))
    made.wait_ms(500)
    assert (kept.seen, made.free()) == ([], True)


class TakesAll:
    """A tape that takes every frame."""

    def __init__(self) -> None:
        self.pool: FramePool | None = None

    def event(self, at_ns: int, event: object) -> None:
        """Nothing."""

    def turn(self, at_ns: int) -> None:
        """Nothing."""

    def keep(self, lease: Lease) -> bool:
        assert self.pool is not None
        self.pool.release(lease)
        return True

    def concluded(self, part: Part) -> None:
        """Nothing."""


def test_a_recording_goes_before_evidence() -> None:
    tape = TakesAll()
    made, kept = rig(tape=tape)
    tape.pool = made.pool
    made.grant()
    made.part(1, verdict=REJECT)
    assert (kept.seen, kept.missing) == ([], [1])
    assert made.free()
