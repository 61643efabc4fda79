"""Rows of what decides: the engine, and the pool of frames in front of it."""

from __future__ import annotations

import time

from tests.faults.matrix.rig import OUTAGE_S, Rig
from tests.faults.matrix.row import Fate, Row
from tests.faults.matrix.rows_process import START_S, STATION_DOWN

UNDECIDED = 'edge_station_state{state="WARNING"} 1.0'
EXIT_HUNG = 70
SLOW_S = 2.5
LOST_FRAMES = 3
HUNG_S = 15.0
"""For `limits.hang_ms` of 3 s, and for the farewell of everything that still runs."""


def caused(cause: str) -> str:
    """Return the sample that counts parts which ended as NO_DECISION for ``cause``."""
    return f'edge_station_causes_total{{cause="{cause}",outcome="NO_DECISION"}}'


def hang(rig: Rig) -> None:
    """Let the engine never return; the process must end by itself, and a supervisor starts it again."""
    rig.engine("hang")
    code = rig.line.wait("station", HUNG_S)
    assert code == EXIT_HUNG, f"the station ended with exit code {code}: {rig.line.log('station')}"
    rig.engine("")
    rig.start("station")
    time.sleep(0.1)


def fail(rig: Rig, how: str) -> None:
    """Let every run of the engine fail for a while."""
    rig.engine(how)
    time.sleep(OUTAGE_S - 0.5)
    rig.engine("")


def stall(rig: Rig) -> None:
    """Let one run of the engine take longer than the frames behind it have slots for."""
    rig.engine(f"slow {SLOW_S}")
    time.sleep(SLOW_S - 0.5)
    rig.engine("")
    time.sleep(0.5)


def lose_frames(rig: Rig) -> None:
    """Lose single frames, so far apart that most parts are not affected."""
    for _ in range(LOST_FRAMES):
        rig.console.fault("drop_frames", parts=1)
        time.sleep(2.5)


ROWS: tuple[Row, ...] = (
    Row(
        name="hung engine",
        made="an inspection never returns; the station ends (exit code 70), and is started again",
        inflict=hang,
        fate=Fate.REJECTED,
        causes=("compute_timeout", "pool_exhausted"),
        rises=(caused("compute_timeout"), caused("pool_exhausted")),
        shows=(UNDECIDED, STATION_DOWN),
        back_s=START_S,
        protections=("hang_watch", "deadline"),
    ),
    Row(
        name="engine exception",
        made="every run of the engine raises, for 2.5 s",
        inflict=lambda rig: fail(rig, "raise"),
        fate=Fate.REJECTED,
        causes=("engine_fault",),
        rises=(caused("engine_fault"),),
        shows=(UNDECIDED,),
        back_s=2.0,
        protections=("engine_guard",),
    ),
    Row(
        name="non-finite output",
        made="every run of the engine returns NaN, for 2.5 s",
        inflict=lambda rig: fail(rig, "nan"),
        fate=Fate.REJECTED,
        causes=("non_finite",),
        rises=(caused("non_finite"),),
        shows=(UNDECIDED,),
        back_s=2.0,
        protections=("finite_check",),
    ),
    Row(
        name="pool exhausted",
        made="one run of the engine takes 2.5 s, and the frames behind it hold every slot of inspection",
        inflict=stall,
        fate=Fate.REJECTED,
        causes=("compute_timeout", "pool_exhausted"),
        rises=(caused("pool_exhausted"),),
        shows=(UNDECIDED,),
        back_s=2.0,
        protections=("pool_bound", "deadline"),
    ),
    Row(
        name="frame lost at 1200 a minute",
        made="the camera's network loses a frame, and the next one comes while the part still waits",
        inflict=lose_frames,
        fate=Fate.NAMED,
        causes=("frame_missing",),
        rises=(caused("frame_missing"), 'edge_station_lost_frames_total{cause="counter_gap"}'),
        shows=(),
        back_s=2.0,
        protections=("match_by_counter",),
        least=LOST_FRAMES,
        most=2 * LOST_FRAMES,
        setup="1200 a minute",
    ),
)
