"""Who may hold the lane."""

from __future__ import annotations

import pytest

from edge.config import GatewayConfig, LineConfig
from edge.core.session import Session
from edge.gateway.stations import Stations
from edge.wire import messages as wire

MS = 1_000_000
CONFIG = GatewayConfig()
STALE = int(CONFIG.stale_ms * MS)


def hello(**changes: object) -> wire.Hello:
    values: dict[str, object] = {
        "station": "station-1",
        "lane": 0,
        "instance": "i",
        "recipe": "default",
        "recipe_number": 12,
        "line_digest": CONFIG.line.digest(),
        "fail_safe": "reject",
        "wants_counts": False,
    }
    return wire.Hello(**{**values, **changes})  # type: ignore[arg-type]


def beat(session: int, number: int, ready: bool = True) -> wire.Heartbeat:
    return wire.Heartbeat(session=session, beat=number, ready=ready, triggers=0, frames=0, closed=0, open=0)


def everybody(_sender: bytes, _station: str, _lane: int) -> bool:
    return True


def test_a_station_whose_key_is_bound_to_another_is_refused_first_of_all() -> None:
    asked: list[tuple[bytes, str, int]] = []

    def nobody(*who: object) -> bool:
        asked.append(who)  # type: ignore[arg-type]
        return False

    refusal = Stations(CONFIG, nobody).refusal(b"a", hello(lane=1), 0)
    assert refusal is not None
    assert "key used is not bound to station 'station-1', lane 1" in refusal.reason
    assert asked == [(b"a", "station-1", 1)]


def holder() -> Stations:
    stations = Stations(CONFIG, everybody)
    assert stations.refusal(b"a", hello(), 0) is None
    stations.admit(b"a", hello(), 7, 0)
    return stations


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"lane": 1}, "lane 1"),
        ({"line_digest": LineConfig(pitch_min_mm=101).digest()}, "[line]"),
        ({"fail_safe": "stop_line"}, "stop_line"),
    ],
)
def test_a_station_that_means_another_line_is_refused(change: dict[str, object], word: str) -> None:
    refusal = Stations(CONFIG, everybody).refusal(b"a", hello(**change), 0)
    assert refusal is not None
    assert word in refusal.reason
    assert refusal.remedy


@pytest.mark.parametrize(("after", "refused"), [(0, True), (STALE, True), (STALE + 1, False)])
def test_a_second_live_station_is_refused_and_a_silent_one_can_be_succeeded(after: int, refused: bool) -> None:
    stations = holder()
    refusal = stations.refusal(b"b", hello(station="station-2"), after)
    assert (refusal is not None) == refused
    if refusal:
        assert "station-1" in refusal.reason


def test_the_holder_itself_may_ask_again() -> None:
    assert holder().refusal(b"a", hello(), 1) is None


def test_only_beats_that_progress_keep_a_station_alive() -> None:
    stations = holder()
    stations.beat(beat(7, 1), 100 * MS)
    assert stations.ready
    stations.beat(beat(7, 1), 300 * MS)
    assert not stations.is_stale(100 * MS + STALE)
    assert stations.is_stale(100 * MS + STALE + 1)
    stations.beat(beat(7, 2), 500 * MS)
    assert not stations.is_stale(500 * MS + STALE)


def test_a_beat_of_another_session_counts_for_nothing() -> None:
    stations = holder()
    stations.beat(beat(6, 1), STALE)
    assert stations.is_stale(STALE + 1)
    assert not stations.ready


def test_a_station_that_stops_being_ready_is_heard() -> None:
    stations = holder()
    stations.beat(beat(7, 1), 1)
    stations.beat(beat(7, 2, ready=False), 2)
    assert not stations.ready


def test_nobody_is_never_stale_and_a_new_holder_starts_not_ready() -> None:
    stations = holder()
    stations.beat(beat(7, 1), 1)
    stations.dismiss()
    assert not stations.is_stale(1 << 60)
    assert not stations.is_current(b"a")
    assert (stations.session, stations.name, stations.recipe_number, stations.ready) == (0, "", 0, False)
    stations.admit(b"b", hello(recipe_number=13), 8, 5)
    assert (stations.ready, stations.recipe_number, stations.session) == (False, 13, 8)
    assert stations.is_current(b"b")


@pytest.mark.parametrize("wants", [True, False])
def test_who_wants_counts_is_known_until_the_lane_is_free(wants: bool) -> None:
    stations = Stations(CONFIG, everybody)
    stations.admit(b"a", hello(wants_counts=wants), 7, 0)
    assert stations.wants_counts is wants
    stations.dismiss()
    assert not stations.wants_counts


def test_a_grant_tells_the_whole_session() -> None:
    session = Session(plc=1, gateway=2, station=7, epoch=3, fence=99)
    grant = holder().grant(session)
    assert (grant.session, grant.gateway_session, grant.plc_session) == (7, 2, 1)
    assert (grant.epoch, grant.fence, grant.fail_safe) == (3, 99, "reject")
    assert grant.boot_id
