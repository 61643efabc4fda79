"""The state band: which of several troubles is told, and when."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.clock import NS_PER_S
from edge.core.alarms import ALARMS
from edge.monitor.band import IDLE_NS, REFUSED_NS, UNRECONCILED_NS, WAIT_NS, Band, band, remedy, silences
from edge.monitor.recent import UNDECIDED_MOST, UNDECIDED_PARTS, UNSEEN_NS, Recent
from edge.monitor.state import SILENT_NS, LineState
from edge.monitor.summary import health
from edge.station.watch import HELD
from edge.wire.messages import GatewayStatus, PartRecord, StationStatus
from tests.support_monitor import GATEWAY, PART, STATION

S = NS_PER_S
NOW = 1000 * S
DARK = ALARMS["camera_dark"].text
BIN_FULL: dict[str, Any] = {"alarms": {"bin_full": "full"}, "latched": ["bin_full"]}


class Heard:
    """A line that was heard at ``NOW``, but for what a test says."""

    def __init__(self) -> None:
        self.state, self.recent = LineState(NOW), Recent()

    def station(self, at: int = NOW, **values: Any) -> Heard:
        return self._take(msgspec.convert({**STATION, **values}, StationStatus), at)

    def gateway(self, at: int = NOW, **values: Any) -> Heard:
        return self._take(msgspec.convert({**GATEWAY, **values}, GatewayStatus), at)

    def part(self, at: int = NOW, **values: Any) -> Heard:
        return self._take(msgspec.convert({**PART, **values}, PartRecord), at)

    def band(self, now: int = NOW, expects: bool = True, rests_in_pass: bool = False) -> Band:
        return band(self.state, self.recent, now, expects, rests_in_pass)

    def silences(self, now: int, expects: bool = True, rests_in_pass: bool = False) -> list[str]:
        return [told.key for told in silences(self.state, now, expects, rests_in_pass)]

    def _take(self, message: StationStatus | GatewayStatus | PartRecord, at: int) -> Heard:
        self.state.take(message, at)
        self.recent.take(message, at, at // 1_000_000)
        return self


def healthy() -> Heard:
    return Heard().station().gateway()


def test_a_line_that_inspects_runs() -> None:
    assert healthy().band() == Band("RUNNING")


def test_before_anything_is_heard() -> None:
    told = Heard().band()
    assert (told.word, told.key) == ("STOPPED", "waiting")
    assert (Heard().gateway().band().word, Heard().gateway().band().key) == ("STOPPED", "waiting")
    for rests in (False, True):
        assert Heard().band(NOW + WAIT_NS, rests_in_pass=rests).key == "waiting"
        assert Heard().silences(NOW + WAIT_NS, rests_in_pass=rests) == []


def test_a_station_that_does_not_come_up_is_silent() -> None:
    late = NOW + WAIT_NS
    line = Heard().gateway(late)
    assert (line.band(late).key, line.silences(late)) == ("waiting", [])
    told = line.gateway(late + 1).band(late + 1)
    assert (told.word, told.key, line.silences(late + 1)) == ("FAULT", "station_silent", ["station_silent"])
    assert line.station(late + 2, triggers=4).band(late + 2) == Band("RUNNING")


def test_a_line_that_does_not_come_up_is_silent() -> None:
    late = NOW + WAIT_NS + 1
    assert Heard().band(late).key == "station_silent"
    assert Heard().silences(late) == ["station_silent", "gateway_silent"]
    assert Heard().band(late, expects=False).key == "station_silent_unsorted", "where there is no gateway"
    assert Heard().silences(late, expects=False) == ["station_silent_unsorted"]
    assert Heard().band(late, rests_in_pass=True).key == "gateway_silent_open"
    assert Heard().silences(late, rests_in_pass=True) == ["station_silent_unsorted", "gateway_silent_open"]


def test_a_station_that_is_awaited_hides_no_trouble_of_the_gateway() -> None:
    assert Heard().gateway().band(NOW + SILENT_NS + 1).key == "gateway_silent"
    assert Heard().gateway(plc_ok=False).band().key == "plc_silent"
    assert Heard().gateway(**BIN_FULL).band().key == "alarm.bin_full"
    assert Heard().gateway(mode="jog").band().key == "mode.jog"


def test_silence_counts_from_its_bound() -> None:
    assert healthy().band(NOW + SILENT_NS) == Band("RUNNING")
    told = healthy().gateway(NOW + SILENT_NS).band(NOW + SILENT_NS + 1)
    assert (told.word, told.key, told.values) == ("FAULT", "station_silent", {"seconds": 1})
    assert SILENT_NS + S // 5 < 2 * S, "it must show within 2 s"


def test_parts_are_signs_of_life() -> None:
    line = healthy().gateway(NOW + SILENT_NS).part(NOW + S)
    assert line.band(NOW + SILENT_NS + 1) == Band("RUNNING")


def test_a_gateway_counts_where_one_is_expected_or_was_heard() -> None:
    assert Heard().station().band(expects=True).key == "gateway_silent"
    assert Heard().station().band(expects=False) == Band("RUNNING")
    late = NOW + SILENT_NS + 1
    assert healthy().station(late).band(late, expects=False).key == "gateway_silent"


CASES: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("camera gone", {"state": "FAULT", "reason": "the camera is gone", "alarms": {"camera": "the camera is gone"}}, {},
     "FAULT", "camera"),
    ("held by health", {"state": "FAULT", "reason": f"{DARK} {HELD}", "alarms": {"camera_dark": f"{DARK} Grey 3."}},
     {}, "FAULT", "alarm.camera_dark"),
    ("bypass and camera gone", {"state": "FAULT", "reason": "gone", "alarms": {"camera": "gone"}}, {"mode": "bypass"},
     "FAULT", "mode.bypass"),
    ("bypass that a latched alarm ends", {}, {"mode": "bypass", **BIN_FULL}, "FAULT", "alarm.bin_full"),
    ("fault without an alarm", {"state": "FAULT", "reason": "hung"}, {}, "FAULT", "station_fault"),
    ("PLC silent", {}, {"plc_ok": False, "reason": "no answer"}, "FAULT", "plc_silent"),
    ("latched alarm", {"state": "STARTING", "reason": "refused"}, BIN_FULL, "FAULT", "alarm.bin_full"),
    ("bypass", {"state": "STARTING", "reason": "refused"}, {"mode": "bypass", "alarms": {"bypass": "uninspected"}},
     "FAULT", "mode.bypass"),
    ("purge", {"state": "STARTING", "reason": "refused"}, {"mode": "purge"}, "STOPPED", "mode.purge"),
    ("jog", {}, {"mode": "jog"}, "STOPPED", "mode.jog"),
    ("no session", {"state": "STARTING", "reason": "refused: another station"}, {}, "STOPPED", "no_session"),
    ("starting", {"state": "STARTING"}, {}, "STOPPED", "starting"),
    ("inspect-only", {"state": "WARNING", "reason": "the gateway is in mode inspect-only"}, {"mode": "inspect-only"},
     "WARNING", "mode.inspect-only"),
    ("challenge", {"state": "WARNING", "reason": "r", "alarms": {"challenge_due": "due"},
                   "challenge": {"phase": "placing", "text": "Place piece A."}}, {}, "WARNING", "challenge"),
    ("station's alarm", {"alarms": {"evidence": "slow"}}, {}, "WARNING", "alarm.evidence"),
    ("gateway's alarm", {}, {"alarms": {"reject_rate": "half"}}, "WARNING", "alarm.reject_rate"),
    ("undecided", {"state": "WARNING", "reason": "part after part"}, {}, "WARNING", "undecided"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "station", "gateway", "word", "key"), CASES, ids=[case[0] for case in CASES])
def test_each_trouble_has_its_words(
    name: str, station: dict[str, Any], gateway: dict[str, Any], word: str, key: str
) -> None:
    told = Heard().station(**station).gateway(**gateway).band()
    assert (told.word, told.key) == (word, key), name
    assert told.reason, "in words"


def test_an_inspecting_station_without_a_gateway_says_so() -> None:
    line = Heard().station(state="WARNING", reason="inspecting only", session=0)
    assert line.band(expects=False).key == "no_gateway"


def test_what_stops_the_line_is_told_before_what_only_warns() -> None:
    told = Heard().station(alarms={"evidence": "slow"})
    assert told.gateway(**BIN_FULL).band().word == "FAULT"
    assert told.gateway(alarms={"bin_full": "full"}).band().key == "alarm.evidence"


def test_a_line_without_parts_stands_after_a_while() -> None:
    later = NOW + IDLE_NS
    assert healthy().station(later).gateway(later).band(later) == Band("RUNNING")
    told = healthy().station(later + 1).gateway(later + 1).band(later + 1)
    assert (told.word, told.key) == ("STOPPED", "idle")
    moving = healthy().station(later + 1, triggers=4).gateway(later + 1)
    assert moving.band(later + 1) == Band("RUNNING")


def test_every_alarm_has_a_remedy() -> None:
    assert all(remedy(name) for name in (*ALARMS, "camera", "trigger", "station_silent_unsorted", "plc_silent_open"))
    assert remedy("unheard of") == ""


# -- where parts pass uninspected, the band does not say that none passes ----------------------------------------------


def test_bypass_is_told_while_the_station_is_silent() -> None:
    late = NOW + 100 * S
    told = Heard().station().gateway(late, mode="bypass").band(late)
    assert (told.word, told.key) == ("FAULT", "mode.bypass")
    assert Heard().gateway(mode="bypass").band().key == "mode.bypass", "before the station was ever heard"


def test_a_gateway_that_cannot_know_does_not_say_bypass() -> None:
    late = NOW + 100 * S
    assert Heard().station(late).gateway(mode="bypass").band(late).key == "gateway_silent"
    assert Heard().station().gateway(mode="bypass", plc_ok=False).band().key == "plc_silent"


def test_without_a_gateway_a_dead_station_lets_all_parts_by() -> None:
    late = NOW + 100 * S
    assert Heard().station(session=0).band(late, expects=False).key == "station_silent_unsorted"
    assert Heard().station().band(late, expects=False).key == "station_silent", "its gateway is on another host"
    waiting = Heard().station(session=0, state="STARTING", reason="no gateway has answered yet")
    assert waiting.band(late, expects=False).key == "station_silent"
    assert Heard().station().band(late, expects=True).key == "station_silent"
    assert Heard().station().gateway().band(late, expects=False).key == "station_silent"


RESTS: list[dict[str, Any]] = [{"alarms": {"accept_escapes": "The gate rests in pass."}}, {}]


@pytest.mark.parametrize("gateway", RESTS, ids=["as the gateway says", "as the configuration says"])
def test_a_gate_that_rests_in_pass_lets_parts_by(gateway: dict[str, Any]) -> None:
    late, rests = NOW + 100 * S, not gateway
    assert Heard().station(late).gateway(**gateway).band(late, rests_in_pass=rests).key == "gateway_silent_open"
    assert Heard().station().gateway(**gateway).band(late, rests_in_pass=rests).key == "gateway_silent_open"
    line = Heard().station().gateway(plc_ok=False, reason="The encoder jumped.", **gateway)
    told = line.band(rests_in_pass=rests)
    assert (told.key, told.detail) == ("plc_silent_open", "The encoder jumped.")
    line = Heard().station().gateway(late, **gateway)
    assert line.band(late, rests_in_pass=rests).key == "station_silent", "the gateway rejects what has no permit"


def test_neither_do_the_alarms() -> None:
    late = NOW + 100 * S
    unsorted = "station_silent_unsorted"
    assert Heard().station().gateway(late, mode="bypass").silences(late) == [unsorted]
    assert Heard().gateway(late, mode="bypass").silences(late) == [unsorted], "nor if the station never came up"
    assert Heard().station().gateway(mode="bypass").silences(late) == ["station_silent", "gateway_silent"]
    assert healthy().silences(late, rests_in_pass=True) == [unsorted, "gateway_silent_open"]
    assert Heard().station().gateway(**RESTS[0]).silences(late) == [unsorted, "gateway_silent_open"]
    line = Heard().station().gateway(late, **RESTS[0])
    assert line.silences(late) == ["station_silent"], "the gateway rejects what has no permit"


# -- what the line says itself -----------------------------------------------------------------------------------------


def test_the_line_s_own_words_are_kept() -> None:
    assert Heard().station(state="FAULT", reason="hung").gateway().band().detail == "hung"
    told = Heard().station().gateway(plc_ok=False, reason="its program is not running").band()
    assert told.detail == "its program is not running"
    assert Heard().station(state="STARTING", reason="refused: lane").gateway().band().detail == "refused: lane"


# -- a station that is never let in ------------------------------------------------------------------------------------


def refused(at: int, line: Heard | None = None) -> Heard:
    return (line or Heard()).station(at, state="STARTING", reason="refused: another station").gateway(at)


def test_a_station_that_is_refused_for_long_is_a_fault() -> None:
    late = NOW + REFUSED_NS
    line = refused(late, refused(NOW))
    assert line.band(late).key == "no_session"
    told = refused(late + 1, line).band(late + 1)
    assert (told.word, told.key, told.detail) == ("FAULT", "refused", "refused: another station")
    assert line.station(late + 2, triggers=4, open=1).band(late + 2) == Band("RUNNING")


def test_what_the_plc_or_the_mode_keeps_out_is_not_refused() -> None:
    late = NOW + REFUSED_NS + 1
    for gateway in ({"plc_ok": False}, {"mode": "purge"}):
        line = refused(late, refused(NOW).gateway(late - S, **gateway))
        assert line.band(late).key == "no_session", "the time begins anew"
    assert (
        refused(NOW).station(late, state="STARTING", reason="r").gateway(late, mode="jog").band(late).key == "mode.jog"
    )


# -- counts ------------------------------------------------------------------------------------------------------------


def test_a_part_without_an_outcome_is_told() -> None:
    line = Heard().station(triggers=4).gateway()
    later = NOW + UNRECONCILED_NS
    line.station(later, triggers=4).gateway(later)
    assert line.band(later) == Band("RUNNING")
    line.station(later + 1, triggers=4)
    assert (line.band(later + 1).word, line.band(later + 1).key) == ("WARNING", "unreconciled")
    assert line.station(later + 2).band(later + 2) == Band("RUNNING")
    line.gateway(later + 2, plc_triggers=4).gateway(later + 3 + UNRECONCILED_NS, plc_triggers=4)
    assert line.station(later + 3 + UNRECONCILED_NS).band(later + 3 + UNRECONCILED_NS).key == "unreconciled"


def test_many_undecided_parts_are_told_though_no_five_come_in_a_row() -> None:
    line = healthy()
    for n in range(UNDECIDED_PARTS):
        line.part(outcome="NO_DECISION" if n % 10 == 0 and n < 10 * UNDECIDED_MOST else "PASS")
    assert line.band() == Band("RUNNING")
    line.part(outcome="NO_DECISION", challenge="A")
    assert line.band() == Band("RUNNING"), "a test piece is no part"
    line.part(outcome="PASS").part(outcome="NO_DECISION")
    line.part(outcome="NO_DECISION")
    assert (line.band().word, line.band().key) == ("WARNING", "many_undecided")
    for _ in range(UNDECIDED_PARTS):
        line.part(outcome="PASS")
    assert line.band() == Band("RUNNING")


def test_many_undecided_parts_are_forgotten_with_the_line_s_standing_still_and_the_station_s_restart() -> None:
    line = healthy()
    for _ in range(UNDECIDED_MOST + 1):
        line.part(outcome="NO_DECISION")
    later = NOW + IDLE_NS + 1
    assert line.station(later).gateway(later).band(later).key == "idle"
    line.station(later, started_wall="2026-01-03T06:00:00+00:00", triggers=0, outcomes={})
    assert line.part(later, outcome="NO_DECISION").band(later) == Band("RUNNING")
    assert len(line.recent.window) == UNDECIDED_MOST + 2, "rates and latencies go on"
    for _ in range(UNDECIDED_MOST):
        line.part(later, outcome="NO_DECISION")
    assert line.band(later).key == "many_undecided"


def test_parts_that_only_the_plc_counts_are_told() -> None:
    line, at = healthy(), NOW
    for n in range(1, 20):
        at = NOW + n * S // 2
        line.gateway(at, plc_triggers=3 + n, rejected={"no_decision": 1 + n}).station(at)
        expected = "" if at - (NOW + S // 2) <= UNSEEN_NS else "unseen"
        assert line.band(at).key == expected, n
    assert line.band(at).word == "WARNING"
    assert line.station(at, triggers=4, outcomes={"PASS": 3, "NO_DECISION": 1}).band(at) == Band("RUNNING")


def test_a_slow_line_stays_blind_between_its_parts_until_the_station_sees_one() -> None:
    line, at = healthy(), NOW
    for n in range(1, 4):
        at = NOW + n * 3 * IDLE_NS
        line.gateway(at, plc_triggers=3 + n, rejected={"no_decision": 1 + n}).station(at)
    assert line.band(at).key == "unseen"
    later = at + 2 * IDLE_NS
    assert line.station(later).gateway(later, plc_triggers=6, rejected={"no_decision": 4}).band(later).key == "idle"
    assert health(line.state, line.recent, later)["trigger"]["ok"] is False
    line.station(later, triggers=4, outcomes={"PASS": 3, "NO_DECISION": 1})
    assert health(line.state, line.recent, later)["trigger"]["ok"] is True


def test_a_line_whose_parts_both_count_is_not_blind() -> None:
    line = healthy()
    for n in range(1, 5):  # slow, and the gateway's status comes first
        at = NOW + n * 9 * S
        line.gateway(at, plc_triggers=3 + n, permitted=2 + n).station(at, triggers=3 + n, outcomes={"PASS": 3 + n})
        assert line.band(at) == Band("RUNNING")
        line.gateway(at + 4 * S, plc_triggers=3 + n, permitted=2 + n)
        line.station(at + 4 * S, triggers=3 + n, outcomes={"PASS": 3 + n})
        assert line.band(at + 4 * S) == Band("RUNNING")


def test_parts_that_the_plc_counts_keep_the_line_from_standing() -> None:
    later = NOW + IDLE_NS + 1
    line = healthy().gateway(later, plc_triggers=4, permitted=3).station(later)
    assert line.band(later) == Band("RUNNING")


# -- the monitor's own alarms ------------------------------------------------------------------------------------------


def test_silence_is_an_alarm() -> None:
    late = NOW + 100 * S
    assert healthy().silences(NOW) == []
    assert healthy().silences(late) == ["station_silent", "gateway_silent"]
    assert Heard().station(late).gateway(late, plc_ok=False).silences(late) == ["plc_silent"]


def test_a_monitor_that_just_began_to_listen_raises_none() -> None:
    assert Heard().silences(NOW) == []
    line = Heard().station()
    assert line.silences(NOW + SILENT_NS) == []
    assert line.station(NOW + SILENT_NS + 1).silences(NOW + SILENT_NS + 1) == ["gateway_silent"]
    assert line.silences(NOW + SILENT_NS + 1, expects=False) == []
