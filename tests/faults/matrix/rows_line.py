"""Rows of what hangs on the line: camera, trigger, eye, encoder, belt and PLC.  The plant's console breaks it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

from tests.faults.matrix.rig import Rig
from tests.faults.matrix.row import Fate, Row
from tests.faults.matrix.rows_engine import caused

BOUND_S = 20.0
"""For a fault that ends when parts have come, and for what the line takes to get somewhere."""

AWAY_MS = 2500.0
"""How long something is away: shorter than what stops the belt, which is 30 parts in a row without a decision."""

BLOCKS = 5
STATUS_S = 2.0
"""How long it may take until `/metrics` shows what has happened: statuses come once a second."""

HALF = 1 << 31

STATION_FAULT = 'edge_station_state{state="FAULT"} 1.0'
NO_SESSION = 'edge_station_state{state="STARTING"} 1.0'
PLC_DOWN = "edge_gateway_plc_up 0.0"
PLC_ERRORS = "edge_gateway_plc_errors_total"
SESSIONS_LOST = "edge_gateway_sessions_lost_total"
EXECUTED = "edge_gateway_executed_parts_total"

BETWEEN_SESSIONS = ("unannounced", "no session", "fenced")
"""What may be said of a part that comes between two sessions, too few to be seen by a scrape."""


def by_console(name: str, holds: Callable[[Rig], bool] | None = None, **how: float) -> Callable[[Rig], None]:
    """Return what lets the plant break something, and waits until it has mended; meanwhile ``holds`` must be seen."""

    def inflict(rig: Rig) -> None:
        rig.console.fault(name, **how)
        end, held = time.monotonic() + BOUND_S, holds is None
        while name in rig.console.look()["open_faults"]:
            assert time.monotonic() < end, f"{name} does not end"
            held = held or (holds is not None and holds(rig))
            time.sleep(0.05)
        assert held, f"{name} was never seen to take hold"
        time.sleep(0.1)  # a PLC that starts anew shows its counts from its first scans on

    return inflict


def runs_at(speed_mm_s: float) -> Callable[[Rig], bool]:
    """Return what tells that the belt runs at this speed."""
    return lambda rig: bool(abs(rig.console.look()["belt_mm_s"] - speed_mm_s) < 1)


def answers_after(least_s: float) -> Callable[[Rig], bool]:
    """Return what tells that the PLC takes this long for an answer."""

    def holds(rig: Rig) -> bool:
        begin = time.monotonic()
        rig.eye.last_part()
        return time.monotonic() - begin >= least_s

    return holds


def bounce(rig: Rig) -> None:
    """Let parts give extra edges; what is wrong with a single one may be its own."""
    for _ in range(5):
        by_console("eye_bounce", edges=3)(rig)


def block(rig: Rig) -> None:
    """Cover the eye while a part is under it, and again where that was defective and had no permit to lose."""
    for _ in range(BLOCKS):
        rig.eye.wait_parts(1)  # else it may be covered in a gap, which is too close to the part before
        by_console("eye_blocked", ms=AWAY_MS)(rig)
        time.sleep(STATUS_S)
        if rig.watch.seen()[1].get(voided("not_permittable")):
            return


def wrap(rig: Rig) -> None:
    """Wait until the encoder's 32 bits have begun anew."""
    assert rig.console.look()["count"] > HALF, "the count has wrapped already: begin further before its end"
    end = time.monotonic() + 2 * BOUND_S
    while rig.console.look()["count"] > HALF:
        assert time.monotonic() < end, "the count does not wrap"
        time.sleep(0.1)
    time.sleep(2.5)  # those that lay on the belt have met the gate, and a status has come
    assert not rig.watch.seen()[1].get(SESSIONS_LOST), "the gateway lost its session as the count wrapped"


def lost(cause: str) -> str:
    """Return the sample that counts frames lost for ``cause``."""
    return f'edge_station_lost_frames_total{{cause="{cause}"}}'


def rejected(cause: str) -> str:
    """Return the sample that counts parts without a permit for ``cause``."""
    return f'edge_gateway_rejected_parts_total{{cause="{cause}"}}'


def voided(cause: str) -> str:
    """Return the sample that counts withdrawn permits."""
    return f'edge_gateway_voided_permits_total{{cause="{cause}"}}'


def alarm(name: str, process: str = "gateway") -> str:
    """Return the line of `/metrics` that shows a standing alarm."""
    return f'edge_{process}_alarm{{alarm="{name}"}} 1.0'


def opened(device: str) -> str:
    """Return the sample that counts how often the station opened a device anew."""
    return f'edge_device_reconnects_total{{device="{device}"}}'


_plc_away = functools.partial(
    Row,
    fate=Fate.REJECTED,
    causes=("session_lost",),
    rises=(PLC_ERRORS, SESSIONS_LOST, rejected("session_lost")),
    shows=(PLC_DOWN, NO_SESSION),
    back_s=5.0,
)
_one_frame = functools.partial(Row, fate=Fate.NAMED, shows=(), back_s=3.0)

_CAMERA = (
    Row(
        name="camera unplugged",
        made="neither frames nor hellos for 2.5 s; the camera's counter goes on",
        inflict=by_console("camera_gone", ms=AWAY_MS),
        fate=Fate.REJECTED,
        causes=("frame_missing",),
        rises=(caused("frame_missing"), opened("camera")),
        shows=(STATION_FAULT, alarm("camera", "station")),
        back_s=10.0,
        protections=("deadline", "device_reopened"),
    ),
    Row(
        name="camera silent",
        made="hellos, but no frames for 2.5 s",
        inflict=by_console("camera_silent", ms=AWAY_MS),
        fate=Fate.REJECTED,
        causes=("frame_missing",),
        rises=(caused("frame_missing"),),
        shows=(STATION_FAULT,),
        back_s=10.0,
        protections=("deadline",),
    ),
    Row(
        name="camera restarted",
        made="gone for 2.5 s, then its counter begins at 1",
        inflict=by_console("camera_restart", ms=AWAY_MS),
        fate=Fate.REJECTED,
        causes=("frame_missing",),
        rises=(caused("frame_missing"), opened("camera")),
        shows=(STATION_FAULT, alarm("camera", "station")),
        back_s=10.0,
        protections=("deadline", "match_by_counter"),
    ),
    _one_frame(
        name="frame-counter gap",
        made="the camera's counter skips three numbers",
        inflict=by_console("camera_gap", frames=3),
        causes=("frame_ambiguous",),
        rises=(lost("counter_gap"), caused("frame_ambiguous")),
        most=5,
        protections=("match_by_counter",),
    ),
    _one_frame(
        name="trigger without frame",
        made="three frames in a row never arrive",
        inflict=by_console("drop_frames", parts=3),
        causes=("frame_missing",),
        rises=(lost("counter_gap"), caused("frame_missing")),
        least=3,
        most=6,
        protections=("match_by_counter", "deadline"),
    ),
    _one_frame(
        name="frame without trigger",
        made="a frame of the bare belt that nothing triggered",
        inflict=by_console("extra_frame"),
        causes=("frame_ambiguous",),
        rises=(lost("without_trigger"), caused("frame_ambiguous")),
        most=5,
        protections=("match_by_counter",),
    ),
    _one_frame(
        name="frame late",
        made="three frames in a row arrive 80 ms late, after the time-out of 60 ms",
        inflict=by_console("delay_frames", parts=3, delay_ms=80),
        causes=("frame_missing",),
        rises=(caused("frame_missing"), lost("without_trigger")),
        least=3,
        most=6,
        protections=("deadline",),
    ),
    _one_frame(
        name="short frame",
        made="three frames in a row lack half of their pixels",
        inflict=by_console("short_frames", parts=3),
        causes=("frame_corrupt",),
        rises=(lost("frame_corrupt"), caused("frame_corrupt")),
        least=3,
        most=6,
        protections=("frame_intact",),
    ),
    _one_frame(
        name="corrupt frame",
        made="three frames in a row say that they have another width",
        inflict=by_console("corrupt_frames", parts=3),
        causes=("frame_corrupt",),
        rises=(lost("frame_corrupt"), caused("frame_corrupt")),
        least=3,
        most=6,
        protections=("frame_intact",),
    ),
    Row(
        name="frame repeated",
        made="three frames in a row arrive twice",
        inflict=by_console("repeat_frame", parts=3),
        fate=Fate.UNHARMED,
        causes=(),
        rises=(lost("without_trigger"),),
        shows=(),
        back_s=3.0,
        protections=("match_by_counter",),
    ),
)

_EYE = (
    Row(
        name="trigger lost",
        made="three edges in a row never reach the station",
        inflict=by_console("drop_triggers", parts=3),
        fate=Fate.NAMED,
        causes=("trigger_lost", "unannounced"),
        rises=(caused("trigger_lost"), rejected("unannounced")),
        shows=(),
        back_s=3.0,
        least=3,
        most=6,
        protections=("gateway_default",),
    ),
    Row(
        name="trigger line unplugged",
        made="neither edges nor hellos reach the station for 2.5 s; the PLC counts on",
        inflict=by_console("trigger_gone", ms=AWAY_MS),
        fate=Fate.REJECTED,
        causes=("trigger_lost", "unannounced"),
        rises=(caused("trigger_lost"), rejected("unannounced"), opened("trigger")),
        shows=(STATION_FAULT, alarm("trigger", "station"), alarm("consecutive_unannounced")),
        back_s=10.0,
        protections=("gateway_default", "device_reopened"),
    ),
    Row(
        name="eye blocked",
        made="something that is no part covers the eye for 2.5 s: it is counted as one part, the others as none; again "
        "until that part had a permit",
        inflict=block,
        fate=Fate.NAMED,
        causes=("not_permittable",),
        rises=(voided("not_permittable"),),
        shows=(alarm("eye_blocked"),),
        back_s=3.0,
        most=10,
        protections=("part_length",),
    ),
    Row(
        name="eye bouncing",
        made="each of five parts gives three extra edges within 3 mm",
        inflict=bounce,
        fate=Fate.NAMED,
        causes=("collateral",),
        rises=(rejected("collateral"),),
        shows=(alarm("touching_parts"),),
        back_s=3.0,
        most=40,
        protections=("part_pitch",),
    ),
)

_BELT = (
    Row(
        name="encoder frozen",
        made="the count stands for 2.5 s while the belt runs",
        inflict=by_console("encoder_frozen", ms=AWAY_MS),
        fate=Fate.REJECTED,
        causes=("cleared", "collateral"),
        rises=(voided("cleared"), rejected("collateral")),
        shows=(alarm("encoder_lost"),),
        back_s=5.0,
        protections=("encoder_watch",),
    ),
    Row(
        name="encoder jumping",
        made="the count jumps by 2 m",
        inflict=by_console("encoder_jump", counts=20_000),
        fate=Fate.NAMED,
        causes=(),
        also=(*BETWEEN_SESSIONS, "session_lost", "rejected_at_gate"),
        rises=(SESSIONS_LOST,),
        shows=(),
        back_s=5.0,
        least=2,
        most=25,
        protections=("encoder_watch", "fence"),
    ),
    Row(
        name="encoder restarted",
        made="the count begins anew in the next epoch",
        inflict=by_console("encoder_restart", count=77),
        fate=Fate.NAMED,
        causes=("session_lost",),
        also=BETWEEN_SESSIONS,
        rises=(SESSIONS_LOST, voided("session_lost")),
        shows=(),
        back_s=5.0,
        least=2,
        most=16,
        protections=("encoder_watch", "fence"),
    ),
    Row(
        name="encoder wrapped",
        made="the 32 bits of the count begin anew in mid-run",
        inflict=wrap,
        fate=Fate.UNHARMED,
        causes=(),
        rises=(EXECUTED,),
        shows=(),
        back_s=3.0,
        protections=("wrapping_counts",),
        setup="half speed",
    ),
    Row(
        name="belt stopped",
        made="the belt stands for 2.5 s",
        inflict=by_console("belt_stop", runs_at(0), ms=AWAY_MS),
        fate=Fate.UNHARMED,
        causes=(),
        rises=(EXECUTED,),
        shows=(),
        back_s=3.0,
        protections=("place_by_count",),
    ),
    Row(
        name="belt reversed",
        made="the belt runs backwards at 300 mm/s for 1 s",
        inflict=by_console("belt_reverse", ms=1000, speed_mm_s=300),
        fate=Fate.NAMED,
        causes=("cleared", "re_pass"),
        rises=(caused("re_pass"), rejected("re_pass"), voided("cleared")),
        shows=(alarm("encoder_lost"),),
        back_s=5.0,
        least=5,
        most=20,
        protections=("reversal_watch",),
    ),
    Row(
        name="belt speed doubled",
        made="from half to the whole of the highest speed, for 2.5 s",
        inflict=by_console("belt_fast", runs_at(1000), ms=AWAY_MS, factor=2),
        fate=Fate.UNHARMED,
        causes=(),
        rises=(EXECUTED,),
        shows=(),
        back_s=3.0,
        protections=("place_by_count",),
        setup="half speed",
    ),
    Row(
        name="belt too fast",
        made="twice the highest speed for 2.5 s",
        inflict=by_console("belt_fast", runs_at(2000), ms=AWAY_MS, factor=2),
        fate=Fate.REJECTED,
        causes=("cleared",),
        rises=(voided("cleared"),),
        shows=(),
        back_s=5.0,
        protections=("speed_limit",),
    ),
)

_PLC = (
    _plc_away(
        name="PLC unreachable",
        made="requests are lost for 2.5 s, the connection stands",
        inflict=by_console("plc_silent", ms=AWAY_MS),
        protections=("default_reject", "fence"),
    ),
    _plc_away(
        name="PLC port closed",
        made="the port is closed for 2.5 s",
        inflict=by_console("plc_closed", ms=AWAY_MS),
        protections=("default_reject", "fence"),
    ),
    _plc_away(
        name="PLC refusing",
        made="every request is answered by an exception for 2.5 s",
        inflict=by_console("plc_refuse", ms=AWAY_MS),
        protections=("default_reject", "fence"),
    ),
    Row(
        name="PLC slow",
        made="answers take 20 ms, for 2.5 s",
        inflict=by_console("plc_slow", answers_after(0.02), ms=AWAY_MS, answer_ms=20),
        fate=Fate.UNHARMED,
        causes=(),
        rises=(EXECUTED,),
        shows=(),
        back_s=3.0,
        protections=("commit_point",),
    ),
    _plc_away(
        name="PLC too slow",
        made="answers take 80 ms, for 2.5 s: longer than their time-out of 50 ms",
        inflict=by_console("plc_slow", ms=AWAY_MS, answer_ms=80),
        protections=("default_reject", "fence"),
    ),
    _plc_away(
        name="PLC in STOP",
        made="the CPU is in STOP for 2.5 s with its port open, then starts",
        inflict=by_console("plc_stop", ms=AWAY_MS),
        rises=(SESSIONS_LOST, voided("session_lost")),
        protections=("plc_heartbeat", "fence"),
    ),
    Row(
        name="PLC rebooted",
        made="the program starts anew at once",
        inflict=by_console("plc_reboot"),
        fate=Fate.NAMED,
        causes=("session_lost",),
        also=BETWEEN_SESSIONS,
        rises=(SESSIONS_LOST, voided("session_lost")),
        shows=(),
        back_s=5.0,
        least=2,
        most=16,
        protections=("default_reject", "plc_clears", "fence"),
    ),
    _plc_away(
        name="PLC answers nonsense",
        made="every read returns random registers for 2.5 s",
        inflict=by_console("plc_nonsense", ms=AWAY_MS),
        protections=("map_version",),
    ),
    _plc_away(
        name="PLC with another map",
        made="the registers say another version of the map for 2.5 s, and are true",
        inflict=by_console("plc_foreign", ms=AWAY_MS),
        protections=("map_version",),
    ),
)

ROWS: tuple[Row, ...] = (*_CAMERA, *_EYE, *_BELT, *_PLC)
