"""Faults of PLC, encoder, eye, parts and belt."""

from __future__ import annotations

from collections.abc import Callable

from edge.simulate.line.director import Fault, Line
from edge.simulate.line.floor import HELLO_NS
from edge.simulate.line.setup import COUNTS_PER_MM, PITCH_MM
from edge.simulate.world import COUNTER_SPAN


def _driver(trouble: str) -> Callable[[Line], None]:
    def inject(line: Line) -> None:
        line.driver.trouble = trouble
        line.for_a_while(40.0, 700.0, lambda: setattr(line.driver, "trouble", ""))

    return inject


def _plc_slow(line: Line) -> None:
    line.driver.slow_ms = line.rng.uniform(3.0, 60.0)
    line.for_a_while(100.0, 600.0, lambda: setattr(line.driver, "slow_ms", 0.0))


def _plc_stopped(line: Line) -> None:
    line.floor.program.stop()
    line.for_a_while(50.0, 700.0, line.floor.reboot)


def _plc_rebooted(line: Line) -> None:
    line.floor.reboot()
    line.repaired()


def _encoder_frozen(line: Line) -> None:
    line.floor.command(line.world.freeze_encoder)
    line.for_a_while(20.0, 500.0, lambda: line.floor.command(line.world.thaw_encoder))


def _encoder_jumped(line: Line) -> None:
    counts = line.rng.choice((-1, 1)) * int(10 ** line.rng.uniform(2.5, 6.0))
    line.floor.command(line.world.jump_encoder, counts)
    line.repaired()


def _new_epoch(line: Line, count: int) -> None:
    line.floor.command(line.world.new_epoch, count)
    now = line.sim.now
    line.sim.at(now - now % HELLO_NS + HELLO_NS, _hello, line)
    line.repaired()


def _hello(line: Line) -> None:
    line.station.eye_hello((line.world.eye_number, line.world.epoch))


def _encoder_epoch(line: Line) -> None:
    _new_epoch(line, line.rng.randrange(COUNTER_SPAN))


def _encoder_wrapped(line: Line) -> None:
    """A new epoch that begins so that the count wraps a few dozen parts later, long after the repair."""
    _new_epoch(line, COUNTER_SPAN - round(line.rng.uniform(20, 70) * PITCH_MM * COUNTS_PER_MM))


def _eye_blocked(line: Line) -> None:
    time_ms = line.rng.uniform(20.0, 500.0)
    line.floor.command(line.world.block_eye, time_ms)
    line.later(time_ms, line.repaired)


def _eye_bouncing(line: Line) -> None:
    line.world.bounce_next(line.rng.randrange(1, 5))
    line.later(_a_part_ms(line), line.repaired)


def _parts_touching(line: Line) -> None:
    line.floor.command(lambda _now: line.world.touch_next())
    entered = line.world.entered
    line.when(lambda: line.world.entered >= entered + 2, lambda: line.later(_from_infeed_ms(line), line.repaired))


def _part_removed(line: Line) -> None:
    candidates = line.referee.on_belt()
    if candidates:
        index = line.rng.choice(candidates)

        def remove(_now_ns: int) -> None:
            if line.world.remove(index):
                line.referee.on_removed(index)

        line.floor.command(remove)
    line.repaired()


def _belt_stopped(line: Line) -> None:
    line.belt_free = False
    line.to_speed(0.0, sudden=line.rng.random() < 0.3)
    line.for_a_while(200.0, 1500.0, lambda: _run_on(line))


def _belt_reversed(line: Line) -> None:
    line.belt_free = False
    line.to_speed(-line.rng.uniform(50.0, 300.0))
    line.for_a_while(500.0, 1000.0, lambda: _run_on(line))
    ends_ns = line.sim.now + 2_000_000_000

    def watch() -> None:
        line.referee.belt_runs_back(line.sim.now)
        if line.sim.now < ends_ns:
            line.later(5.0, watch)

    watch()


def _belt_doubled(line: Line) -> None:
    """From half the highest speed to the highest, at once."""
    line.belt_free = False
    line.to_speed(500.0)
    line.later(400.0, lambda: line.to_speed(1000.0, sudden=True))
    line.for_a_while(900.0, 900.0, lambda: _run_on(line))


def _belt_overspeed(line: Line) -> None:
    """Twice the highest speed, for a moment."""
    line.belt_free = False
    line.to_speed(2000.0)
    line.for_a_while(200.0, 600.0, lambda: _run_on(line))


def _run_on(line: Line) -> None:
    line.to_speed(line.speed)
    line.belt_free = True


def _a_part_ms(line: Line) -> float:
    return 2000.0 * PITCH_MM / max(100.0, line.speed)


def _from_infeed_ms(line: Line) -> float:
    return 1000.0 * line.world.line.infeed_mm / max(100.0, line.speed) + _a_part_ms(line)


FAULTS = (
    Fault("plc_unreachable", "no answer until the time-out", _driver("unreachable"), "plc"),
    Fault("plc_refusing", "every request is refused at once", _driver("refused"), "plc"),
    Fault("plc_slow", "answers take 3 to 60 ms", _plc_slow, "plc"),
    Fault("plc_stopped", "CPU in STOP with its port open, then started", _plc_stopped, "plc"),
    Fault("plc_rebooted", "a new PLC session at once", _plc_rebooted, "plc"),
    Fault("encoder_frozen", "the count stands while the belt runs", _encoder_frozen, "plc"),
    Fault("encoder_jumped", "the count jumps, by 30 mm to 100 m", _encoder_jumped, "empty"),
    Fault("encoder_epoch", "the count starts anew, anywhere", _encoder_epoch, "plc"),
    Fault("encoder_wrapped", "the count starts anew, shortly before its wrap", _encoder_wrapped, "plc"),
    Fault("eye_blocked", "the eye stays covered", _eye_blocked, "empty"),
    Fault("eye_bouncing", "a plate gives several edges", _eye_bouncing, "empty"),
    Fault("parts_touching", "a plate touches the one before", _parts_touching, "empty"),
    Fault("part_removed", "a hand takes a plate off the belt", _part_removed),
    Fault("belt_stopped", "the belt stands, for 0.2 to 1.5 s", _belt_stopped),
    Fault("belt_reversed", "the belt runs backwards for a while", _belt_reversed, "empty"),
    Fault("belt_doubled", "from half to full speed at once", _belt_doubled),
    Fault("belt_overspeed", "twice the highest speed, for a moment", _belt_overspeed, "empty"),
)
