"""Faults of processes and of what runs inside them: killed, stopped, hung; engines that are slow, broken or stuck."""

from __future__ import annotations

from collections.abc import Callable

from edge.core.pool import Purpose
from edge.simulate.line.director import Fault, Line
from edge.simulate.line.floor import TriggerMessage

_RESTART_MS = (60.0, 500.0)


def _station_killed(line: Line) -> None:
    line.station.kill()
    line.for_a_while(*_RESTART_MS, line.station.start)


def _station_stopped(line: Line) -> None:
    line.station.stop()
    line.for_a_while(30.0, 800.0, line.station.go_on)


def _station_hung(line: Line) -> None:
    line.station.hang()
    line.for_a_while(30.0, 800.0, line.station.go_on)


def _gateway_killed(line: Line) -> None:
    line.gateway.kill()
    line.for_a_while(*_RESTART_MS, line.gateway.start)


def _gateway_stopped(line: Line) -> None:
    line.gateway.stop()
    line.for_a_while(30.0, 800.0, line.gateway.go_on)


def _both_killed(line: Line) -> None:
    line.gateway.kill()
    line.station.kill()
    line.later(line.rng.uniform(*_RESTART_MS), line.station.start)
    line.later(line.rng.uniform(*_RESTART_MS), line.gateway.start)
    line.when(lambda: line.station.alive and line.gateway.alive, line.repaired)


def _all_killed(line: Line) -> None:
    line.floor.program.stop()
    line.gateway.kill()
    line.station.kill()
    line.later(line.rng.uniform(*_RESTART_MS), line.station.start)
    line.later(line.rng.uniform(*_RESTART_MS), line.gateway.start)
    line.for_a_while(510.0, 700.0, line.floor.reboot)


def _engine_hung(line: Line) -> None:
    """The station finds it out, ends itself, and is started again."""
    life = line.station.life
    line.station.inspection.stuck = True
    line.station.restart_ns = int(line.rng.uniform(*_RESTART_MS) * 1e6)
    line.when(lambda: line.station.alive and line.station.life > life, line.repaired)


def _engine_slow(line: Line) -> None:
    inspection = line.station.inspection
    inspection.slow_ms = line.rng.uniform(40.0, 200.0)
    line.for_a_while(100.0, 400.0, lambda: setattr(inspection, "slow_ms", 0.0))


def _trouble(name: str) -> Callable[[Line], None]:
    def inject(line: Line) -> None:
        inspection = line.station.inspection
        inspection.trouble = name
        line.for_a_while(100.0, 400.0, lambda: setattr(inspection, "trouble", ""))

    return inject


def _pool_exhausted(line: Line) -> None:
    pool, held = line.station.pool, []
    while (lease := pool.lease(Purpose.CAPTURE)) is not None:
        held.append(lease)

    def give_back() -> None:
        for lease in held:
            pool.release(lease)

    line.for_a_while(100.0, 300.0, give_back)


def _recipe_changed(line: Line) -> None:
    """Half of them while the frame of a part that was just triggered is on its way."""

    def change() -> None:
        line.station.change_to_other_recipe()
        line.repaired()

    def tamper(_edge: TriggerMessage) -> None:
        line.floor.tamper_trigger = None
        line.later(line.rng.uniform(1.0, 8.0), change)

    if line.rng.random() < 0.5:
        change()
    else:
        line.floor.tamper_trigger = tamper


FAULTS = (
    Fault("station_killed", "SIGKILL, and a new process later", _station_killed, "process"),
    Fault("station_stopped", "SIGSTOP, and SIGCONT later", _station_stopped, "process"),
    Fault("station_hung", "its loop stands while its threads go on", _station_hung, "process"),
    Fault("gateway_killed", "SIGKILL, and a new process later", _gateway_killed, "process"),
    Fault("gateway_stopped", "SIGSTOP, and SIGCONT later", _gateway_stopped, "process"),
    Fault("both_killed", "station and gateway killed, and restarted in any order", _both_killed, "process"),
    Fault("all_killed", "station, gateway and PLC", _all_killed, "process"),
    Fault("engine_hung", "an inspection does not return: the process ends and is restarted", _engine_hung, "process"),
    Fault("engine_slow", "every inspection takes 40 to 200 ms longer", _engine_slow, "backlog"),
    Fault("engine_fault", "every inspection raises an error", _trouble("engine_fault")),
    Fault("non_finite", "the network returns what is no number", _trouble("non_finite")),
    Fault("saturated", "the network's list of candidates is full", _trouble("saturated")),
    Fault("pool_exhausted", "something holds every frame slot", _pool_exhausted),
    Fault("recipe_changed", "another recipe, by command, while parts are open", _recipe_changed),
)
