"""The matcher against the truth of which part each frame shows.  The truth lives in the frame's tag."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.core.counter import wrap
from edge.core.match import Kind, Match, Matcher
from edge.core.part import FrameInfo

SLOW = [HealthCheck.too_slow]

SPAN = 1 << 32
EARLY, LATE = 10, 250
HOLD = 4
TIMEOUT = 3000


@dataclass
class Line:
    """A stretch of production, part by part.

    Attributes:
        pitch: time between triggers; more than EARLY + LATE.
        first_part, first_frame: where the two counters stand.
        fate: of each part's frame: arrives, is lost after the exposure, or was never exposed.
        lag, transport: how long trigger and frame take to this host.
        stamp: where in its window each exposure lies.
    """

    pitch: int
    first_part: int
    first_frame: int
    fate: list[str]
    lag: list[int]
    transport: list[int]
    stamp: list[int]


@st.composite
def lines(draw: st.DrawFn) -> Line:
    n = draw(st.integers(2, 14))

    def each(values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=n, max_size=n))

    fates = ["arrives"] * 7 + ["lost", "lost", "not exposed", "twice", "counter restarts", "trigger lost"]
    return Line(
        pitch=draw(st.sampled_from([EARLY + LATE + 1, 400, 1000])),
        first_part=draw(st.sampled_from([0, 5, SPAN - 3])),
        first_frame=draw(st.sampled_from([0, 4, 1000, SPAN - 2])),
        fate=draw(st.lists(st.sampled_from(fates), min_size=n, max_size=n)),
        lag=each(st.sampled_from([0, 0, 0, 20, 300, 900])),
        transport=each(st.sampled_from([0, 5, 5, 5, 300, 1500, 4000])),
        stamp=each(st.integers(-EARLY, LATE)),
    )


def events(line: Line) -> list[tuple[int, int, FrameInfo | None, int]]:
    """Return (arrival, order, frame or None for a trigger, part) in order of arrival; triggers keep their order."""
    found: list[tuple[int, int, FrameInfo | None, int]] = []
    frame_counter, seen = line.first_frame, 0
    for i, fate in enumerate(line.fate):
        number, t0 = wrap(line.first_part + i), i * line.pitch
        seen = max(seen, t0 + line.lag[i])
        if fate != "trigger lost":
            found.append((seen, 2 * i, None, i))
        if fate == "counter restarts":
            frame_counter = 0
        if fate == "not exposed":
            continue
        exposed = t0 + line.stamp[i]
        arrival = exposed + line.transport[i]
        info = FrameInfo(wrap(frame_counter), exposed, arrival, tag=str(number))
        frame_counter += 1
        if fate == "lost":
            continue
        found.append((arrival, 2 * i + 1, info, i))
        if fate == "twice":
            found.append((arrival + 1, 2 * i + 1, replace(info, t1_ns=arrival + 1), i))
    return sorted(found, key=lambda e: e[:2])


def run(line: Line, matcher: Matcher) -> dict[str, list[str]]:
    """Play the line as a station would.  Fails when a frame is given to a part that it does not show."""
    seen: dict[str, list[str]] = {kind.name: [] for kind in Kind}
    closed: set[int] = set()
    held: set[FrameInfo] = set()
    opened: list[tuple[int, int]] = []

    def settle(match: Match) -> None:
        seen[match.kind.name].append(match.info.tag)
        if match.kind is Kind.HELD:
            held.add(match.info)
            return
        held.discard(match.info)
        assert not (set(match.parts) & closed), "a part was named after it had closed"
        if match.kind is Kind.MATCHED:
            assert match.parts == (int(match.info.tag),), f"frame of {match.info.tag} given to {match.parts}"
        assert bool(match.parts) == (match.kind is not Kind.STRAY)
        for part in match.parts:
            closed.add(part)
            matcher.forget(part)

    for arrival, _, info, i in events(line):
        for number, t0 in opened:
            if arrival >= t0 + TIMEOUT and number not in closed:
                closed.add(number)
                matcher.forget(number)
        held -= set(matcher.expire(arrival - TIMEOUT))
        if info is not None:
            settle(matcher.frame(info))
        else:
            number = wrap(line.first_part + i)
            opened.append((number, i * line.pitch))
            for match in matcher.trigger(number, i * line.pitch):
                assert match.kind is not Kind.HELD
                settle(match)
        assert len(held) <= HOLD
    assert held == set(matcher.expire(1 << 60))
    assert matcher.expire(1 << 60) == []
    return seen


@given(lines(), st.integers(1, 3))
@settings(max_examples=250, deadline=None, suppress_health_check=SLOW)
def test_a_frame_is_never_given_to_another_part(line: Line, sync_pairs: int) -> None:
    run(line, Matcher(EARLY, LATE, sync_pairs, HOLD))


@given(lines(), st.integers(1, 3))
@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
def test_on_a_faultless_line_every_frame_finds_its_part(line: Line, sync_pairs: int) -> None:
    n = len(line.fate)
    line.fate, line.lag = ["arrives"] * n, [min(lag, 300) for lag in line.lag]
    line.transport = [min(transport, 5) for transport in line.transport]
    seen = run(line, Matcher(EARLY, LATE, sync_pairs, HOLD))
    assert len(seen["MATCHED"]) == max(0, n - sync_pairs + 1)
    assert len(seen["UNSYNCHRONISED"]) == min(n, sync_pairs - 1)
    assert seen["STRAY"] == seen["AMBIGUOUS"] == []


class Fifo(Matcher):
    """What this product must never do: the next frame belongs to the next part."""

    def frame(self, info: FrameInfo) -> Match:
        for number in self._waiting:
            self.forget(number)
            return Match(Kind.MATCHED, info, (number,))
        return Match(Kind.STRAY, info)


class Nearest(Matcher):
    """The latest trigger before the frame, whatever the counters say."""

    def frame(self, info: FrameInfo) -> Match:
        before = [n for n, t0 in self._waiting.items() if info.exposed_ns is not None and t0 <= info.exposed_ns]
        if not before:
            return Match(Kind.STRAY, info)
        self.forget(before[-1])
        return Match(Kind.MATCHED, info, (before[-1],))


def plain(fate: list[str], lag: int = 0, stamp: int = 0) -> Line:
    n = len(fate)
    return Line(1000, 0, 50, fate, [lag] * n, [5] * n, [stamp] * n)


def test_the_truth_catches_first_in_first_out_after_one_lost_frame() -> None:
    run(plain(["arrives"] * 4), Fifo(EARLY, LATE, 1, HOLD))
    with pytest.raises(AssertionError, match="frame of 2 given to"):
        run(plain(["arrives", "lost", "arrives", "arrives"]), Fifo(EARLY, LATE, 1, HOLD))


def test_the_truth_catches_the_latest_trigger_after_one_late_trigger() -> None:
    with pytest.raises(AssertionError, match="frame of 1 given to"):
        run(plain(["lost", "arrives", "arrives"], lag=600), Nearest(EARLY, LATE, 1, HOLD))


def matcher(*triggers: tuple[int, int], sync_pairs: int = 1) -> Matcher:
    found = Matcher(EARLY, LATE, sync_pairs, HOLD)
    for number, t0 in triggers:
        found.trigger(number, t0)
    return found


def frame(counter: int, exposed: int | None, t1: int = 0) -> FrameInfo:
    return FrameInfo(counter, exposed, t1)


@pytest.mark.parametrize(
    ("stamp", "kind"),
    [
        (-EARLY - 1, Kind.HELD),
        (-EARLY, Kind.MATCHED),
        (LATE, Kind.MATCHED),
        (LATE + 1, Kind.HELD),
    ],
)
def test_both_ends_of_the_window_are_inside(stamp: int, kind: Kind) -> None:
    assert matcher((1, 10_000)).frame(frame(1, 10_000 + stamp)).kind is kind
    assert matcher((1, 10_000)).frame(frame(1, None, 10_000 + stamp)).kind is kind


def test_two_candidates_end_both_and_match_neither() -> None:
    both = matcher((1, 0), (2, 100))
    assert both.frame(frame(9, 150)) == Match(Kind.AMBIGUOUS, frame(9, 150), (1, 2))
    assert not both.synchronised


def test_once_synchronised_the_counter_tells_two_candidates_apart() -> None:
    both = matcher((1, 0))
    assert both.frame(frame(9, 0)).kind is Kind.MATCHED
    both.trigger(2, 1000)
    both.trigger(3, 1100)
    assert both.frame(frame(11, 1150)).parts == (3,)


@pytest.mark.parametrize("counter", [8, 11, SPAN - 1])
def test_a_counter_that_contradicts_time_ends_every_candidate_and_the_trust(counter: int) -> None:
    found = matcher((1, 0))
    found.frame(frame(9, 0))
    found.trigger(2, 1000)
    match = found.frame(frame(counter, 1000))
    assert match.kind is Kind.AMBIGUOUS
    assert match.parts == (2,)
    assert not found.synchronised


def test_the_offset_is_trusted_only_after_agreeing_pairs_in_a_row() -> None:
    found = Matcher(EARLY, LATE, 3, HOLD)
    kinds = []
    for number, counter in [(1, 1), (2, 2), (3, 4), (4, 5), (5, 6), (6, 7)]:
        found.trigger(number, 1000 * number)
        match = found.frame(frame(counter, 1000 * number))
        kinds.append(match.kind.name)
        found.forget(number)
    assert kinds == ["UNSYNCHRONISED"] * 4 + ["MATCHED"] * 2


def test_frames_without_a_trigger_are_held_up_to_the_bound_and_given_up_in_time() -> None:
    found = Matcher(EARLY, LATE, 1, HOLD)
    kinds = [found.frame(frame(n, 1000 * n, 1000 * n)).kind for n in range(HOLD + 2)]
    assert kinds == [Kind.HELD] * HOLD + [Kind.STRAY] * 2
    assert [f.counter for f in found.expire(1000)] == [0]
    assert [f.counter for f in found.expire(1001)] == [1]
    assert [m.kind for m in found.trigger(7, 2000)] == [Kind.MATCHED]
    assert [f.counter for f in found.expire(1 << 60)] == [3]


def test_a_frame_of_a_closed_part_is_a_stray() -> None:
    found = matcher((1, 0))
    found.frame(frame(1, 0))
    found.trigger(2, 1000)
    found.forget(2)
    assert found.frame(frame(2, 1000)).kind is Kind.STRAY
    assert found.synchronised


def test_one_frame_delivered_twice_is_not_two_agreeing_pairs() -> None:
    found = Matcher(EARLY, LATE, 2, HOLD)
    found.frame(frame(5, 1000, 1000))
    found.frame(frame(5, 1000, 1001))
    kinds = [m.kind for m in found.trigger(1, 1000)]
    assert Kind.MATCHED not in kinds
    assert not found.synchronised


def test_a_part_that_was_ambiguous_is_not_matched_to_the_next_frame() -> None:
    found = matcher((1, 0))
    found.frame(frame(1, 0))
    found.frame(frame(7, 1000, 1000))
    found.frame(frame(8, 1001, 1001))
    matches = found.trigger(2, 1000)
    assert [m.kind for m in matches if 2 in m.parts] == [Kind.AMBIGUOUS]


@pytest.mark.parametrize("t0", [1000, None])
def test_the_frame_of_a_skipped_part_is_a_stray_at_once(t0: int | None) -> None:
    found = matcher((1, 0))
    found.frame(frame(1, 0))
    assert found.skip(2, t0) == []
    assert found.frame(frame(2, 1000)).kind is Kind.STRAY
    found.trigger(3, 2000)
    assert found.frame(frame(3, 2000)).parts == (3,)


def test_skipping_a_part_gives_up_the_frame_that_waited_for_it_alone() -> None:
    found = matcher((1, 0))
    found.frame(frame(1, 0))
    assert [found.frame(frame(n, 1000 * n)).kind for n in (2, 3)] == [Kind.HELD] * 2
    assert [(m.kind, m.info.counter) for m in found.skip(2)] == [(Kind.STRAY, 2)]
    assert [(m.kind, m.parts) for m in found.trigger(3, 3000)] == [(Kind.MATCHED, (3,))]


def test_a_skipped_edge_beside_a_part_makes_an_unknown_frame_ambiguous() -> None:
    found = matcher((1, 0))
    found.skip(2, 100)
    assert found.frame(frame(9, 50)) == Match(Kind.MATCHED, frame(9, 50), (1,)), "before the skipped edge's window"
    found = matcher((1, 0))
    found.skip(2, 100)
    assert found.frame(frame(9, 100)) == Match(Kind.AMBIGUOUS, frame(9, 100), (1,))
    assert not found.synchronised


def test_once_synchronised_a_skipped_edge_beside_a_part_costs_it_nothing() -> None:
    found = matcher((1, 0))
    found.frame(frame(9, 0))
    found.trigger(2, 1000)
    found.skip(3, 1100)
    assert found.frame(frame(11, 1100)).kind is Kind.STRAY
    assert found.frame(frame(10, 1100)).parts == (2,)


def test_skipped_edges_are_forgotten_in_time() -> None:
    found = Matcher(EARLY, LATE, 1, HOLD)
    for number in range(100):
        found.skip(number, 1000 * number)
    assert found.frame(frame(1, 99_000)).kind is Kind.STRAY
    assert found.frame(frame(2, 0)).kind is Kind.HELD


def test_of_skipped_edges_the_last_few_are_remembered() -> None:
    found = Matcher(EARLY, LATE, 1, HOLD)
    for number in range(100):
        found.skip(number, 1000 * number)
    assert list(found._skipped) == list(range(92, 100))


def test_four_frames_may_wait_where_nothing_else_is_said() -> None:
    found = Matcher(EARLY, LATE, 1)
    frames = [frame(n, 1000) for n in range(5)]
    answers = [found.frame(info) for info in frames]
    assert [answer.kind for answer in answers] == [Kind.HELD] * 4 + [Kind.STRAY]
    assert [answer.info for answer in answers] == frames


def test_the_stray_frame_of_a_skipped_part_is_named() -> None:
    found = Matcher(EARLY, LATE, 1, HOLD)
    found.trigger(1, 1000)
    assert found.frame(frame(10, 1000)).kind is Kind.MATCHED
    found.skip(2, 1_000_000)
    lost = frame(11, 1_000_000)
    answer = found.frame(lost)
    assert (answer.kind, answer.info, answer.parts) == (Kind.STRAY, lost, ())
