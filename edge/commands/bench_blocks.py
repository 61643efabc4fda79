"""The line on which faults are measured: a station in this process, a gateway and a PLC in processes of their own.

Blocks of parts alternate between a line that is well and one of its faults, so that a slow spell of the machine meets
both.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from edge.capture.base import Camera, TriggerSource, frame_shape
from edge.capture.timer import TimerTrigger
from edge.clock import NS_PER_S, now_ns
from edge.commands.bench_line import BenchCamera
from edge.commands.bench_measure import TOO_BUSY
from edge.commands.bench_plc_rig import HOST, serve
from edge.config import (
    ActuatorConfig,
    CameraConfig,
    ControlConfig,
    GatewayConfig,
    GatewayLinkConfig,
    LimitsConfig,
    LineConfig,
    PlcConfig,
    StationConfig,
    TelemetryConfig,
)
from edge.core.budget import lead_mm
from edge.engine.inspector import Inspector
from edge.engine.null import NullEngine, Script
from edge.engine.select import NULL, Choice
from edge.errors import EngineError
from edge.model.package import load_package
from edge.realtime import prioritise, settle
from edge.simulate.plc_io import PlcSettings
from edge.station.build import Deciding, assembled
from edge.station.loop import Station

WARM_UP_S = 2.0
SETTLE_S = 0.5
"""How long after a fault a session may still end that began under it."""

PATIENCE_S = 60.0

LINE = LineConfig(pitch_min_mm=40.0, part_length_min_mm=10.0, part_length_max_mm=10.0)
ACTUATOR = ActuatorConfig(move_ms=2.0, response_scatter_ms=1.0)
PERIOD_MS = 1000 * LINE.pitch_min_mm / LINE.speed_max_mm_s
"""Short parts and a quick gate: 25 parts a second are a percentile sooner than 10 are."""

_log = logging.getLogger(__name__)


def station_config(config: StationConfig, folder: Path) -> StationConfig:
    """Return the station of the measurement: model, recipe and frame of ``config``, sockets in ``folder``."""
    camera = config.camera
    return StationConfig(
        name="bench",
        realtime_priority=config.realtime_priority,
        line=LINE,
        actuator=ACTUATOR,
        camera=CameraConfig(width=camera.width, height=camera.height, color=camera.color),
        model=config.model,
        recipe=config.recipe,
        limits=LimitsConfig(ceiling_ms=300.0, frame_timeout_ms=250.0),  # a slow spell is measured, not cut off
        gateway=GatewayLinkConfig(endpoint=f"ipc://{folder}/gateway"),
        telemetry=TelemetryConfig(endpoint=f"ipc://{folder}/telemetry"),
    )


def gateway_config(folder: Path, port: int) -> GatewayConfig:
    """Return the gateway of the measurement, for a PLC at ``port`` of this host."""
    return GatewayConfig(
        bind=f"ipc://{folder}/gateway",
        line=LINE,
        actuator=ACTUATOR,
        plc=PlcConfig(host=HOST, port=port),
        control=ControlConfig(path=f"{folder}/control"),
        telemetry=TelemetryConfig(endpoint=f"ipc://{folder}/gateway-telemetry"),
    )


def plc_settings(config: GatewayConfig) -> PlcSettings:
    """Return what the commissioning engineer would enter for the line of ``config``."""
    line, timing = config.line, config.plc_timing
    return PlcSettings(
        counts_per_mm=round(line.counts_per_mm),
        gate_mm=line.trigger_to_gate_mm,
        lead_mm=lead_mm(line, config.actuator),
        v_max_mm_s=line.speed_max_mm_s,
        length_max_mm=line.part_length_max_mm,
        pitch_min_mm=line.pitch_min_mm,
        response_ms=config.actuator.response_max_ms,
        scan_ms=timing.scan_ms,
        output_ms=timing.output_ms,
        margin_ms=timing.margin_ms,
        eye_scatter_mm=line.eye_scatter_ms * line.speed_max_mm_s / 1000,
        backlash_mm=line.backlash_mm,
    )


@contextmanager
def rig() -> Iterator[tuple[int, Connection]]:
    """Run the PLC.  Yield its port, and where it takes commands."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    settings = plc_settings(GatewayConfig(line=LINE, actuator=ACTUATOR))
    process = context.Process(
        target=serve, args=(theirs, settings, PERIOD_MS, LINE.part_length_max_mm), name="rig", daemon=True
    )
    process.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE_S):
            raise EngineError("The simulated PLC did not start.", TOO_BUSY)
        yield ours.recv(), ours
    finally:
        process.terminate()
        process.join()
        process.close()
        ours.close()


@contextmanager
def gateway(config: GatewayConfig, folder: Path) -> Iterator[None]:
    """Run `edge gateway`."""
    path = folder / "gateway.toml"
    path.write_text(toml(config.model_dump(exclude_defaults=True)), encoding="utf-8")
    with (folder / "gateway.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "edge", "gateway", str(path)], stdout=log, stderr=log)
    try:
        yield
    except EngineError:
        if (code := process.poll()) is None:
            raise
        said = (folder / "gateway.log").read_text(encoding="utf-8", errors="replace").strip()
        raise EngineError(f"The gateway ended with exit code {code}: {said[-500:]}", "mend what it says.") from None
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True)
class Served:
    """A monitor that serves: its process id, and its TCP port on this host."""

    pid: int
    port: int


@contextmanager
def monitor(station: StationConfig, folder: Path) -> Iterator[Served]:
    """Run `edge monitor` beside the line of `station` and the gateway whose file lies in ``folder``.

    Raises:
        EngineError: it does not come to serve.
    """
    config, said = folder / "station.toml", folder / "monitor.log"
    config.write_text(toml(station.model_dump(exclude_defaults=True)), encoding="utf-8")
    options = ["--station", str(config), "--gateway", str(folder / "gateway.toml"), "--port", "0"]
    with said.open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "edge", "monitor", *options], stdout=log, stderr=log)
    try:
        yield Served(process.pid, _served_port(process, said))
    finally:
        process.send_signal(signal.SIGCONT)  # a stopped process cannot end in order
        process.terminate()
        process.wait()


def _served_port(process: subprocess.Popen[bytes], said: Path) -> int:
    give_up = now_ns() + int(PATIENCE_S * NS_PER_S)
    while True:
        text = said.read_text(encoding="utf-8", errors="replace")
        if found := re.search(r"Serving on http://[^/]+:(\d+)/", text):
            return int(found[1])
        if (code := process.poll()) is not None:
            raise EngineError(f"The monitor ended with exit code {code}: {text.strip()[-500:]}", "mend what it says.")
        if now_ns() > give_up:
            raise EngineError(f"The monitor did not come to serve in {PATIENCE_S:g} s.", TOO_BUSY)
        time.sleep(0.05)


def toml(values: dict[str, Any]) -> str:
    """Return TOML of plain values, lists and tables."""
    plain = [f"{key} = {_toml_value(value)}" for key, value in values.items() if not isinstance(value, dict)]
    tables = [f"[{key}]\n{toml(value)}" for key, value in values.items() if isinstance(value, dict)]
    return "\n".join([*plain, *tables])


def _toml_value(value: Any) -> str:
    """Return one value; JSON writes the plain ones alike."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(one) for one in value) + "]"
    return json.dumps(value)


class _Timer(TimerTrigger):
    """A timer whose start is known.

    Attributes:
        start_ns: when the schedule began.
    """

    start_ns = 0

    def open(self) -> None:
        """Start the schedule."""
        super().open()
        self.start_ns = self._start_ns or 0


def run(
    config: StationConfig,
    plc: Connection,
    faults: Connection,
    plan: Sequence[Enum],
    parts: int,
    outcomes: Path,
    script: Script | None = None,
) -> list[int]:
    """Run the station through ``plan``; this process takes the station's priority.

    Args:
        config: of the station.
        plc: is told when the timer began.
        faults: makes each condition of the plan, and answers when it has; the plan begins without one.
        plan: of conditions; the first is a line that is well, and it comes back after each fault.
        parts: of each block, at the least.
        outcomes: where the part records go.
        script: what the engine finds; without one it finds nothing.

    Returns:
        The edges of the blocks, monotonic ns, one more than there are.

    Raises:
        EngineError: the line does not come up.
    """
    prioritise(config.realtime_priority)
    package = load_package(Path(config.model.package))
    camera, target = config.camera, package.manifest
    shape = frame_shape(camera.width, camera.height, camera.color)
    with NullEngine(target.input.shape, target.output.candidates, config.model.null_ms, script) as engine:
        inspector = Inspector(package, engine, shape, camera.color)
        decides = Deciding(package, engine, Choice(*NULL, "its duration is fixed"), inspector, camera)
        timers: list[_Timer] = []

        @contextmanager
        def devices(_: StationConfig) -> Iterator[tuple[Camera, TriggerSource]]:
            source = BenchCamera(camera.width, camera.height, camera.color)
            timers.append(_Timer(PERIOD_MS, source, LINE.counts_per_mm, LINE.speed_max_mm_s))
            with source, timers[0]:
                yield source, timers[0]

        with assembled(config, decides, devices, outcomes) as running:
            settle()
            _tell(running, plc, timers[0].start_ns)
            _until_running(running)
            _for(running, WARM_UP_S)
            return _blocks(running, faults, plan, parts)


def _blocks(running: Station, commands: Connection, plan: Sequence[Enum], parts: int) -> list[int]:
    edges_ns = []
    for number, condition in enumerate(plan):
        if number:
            _log.info("Block %d of %d: %s", number + 1, len(plan), condition.value)
        if condition is plan[0] and number:
            _tell(running, commands, condition)
            _for(running, SETTLE_S)
            _until_running(running)
        edges_ns.append(now_ns())
        if condition is not plan[0]:
            _tell(running, commands, condition)
        _for(running, parts * PERIOD_MS / 1000)
    return [*edges_ns, now_ns()]


def _tell(running: Station, commands: Connection, command: Enum | int) -> None:
    """Tell whoever makes faults, and work on until it has done so: this process must not wait for another."""
    commands.send(command)
    _work(running, commands.poll)
    commands.recv()


def _until_running(running: Station) -> None:
    _work(running, lambda: running.state(now_ns())[0] == "RUNNING")


def _for(running: Station, duration_s: float) -> None:
    end = now_ns() + int(duration_s * NS_PER_S)
    while now_ns() < end:
        running.turn()


def _work(running: Station, done: Callable[[], bool]) -> None:
    give_up = now_ns() + int(PATIENCE_S * NS_PER_S)
    while not done():
        running.turn()
        if now_ns() > give_up:
            state, reason = running.state(now_ns())
            raise EngineError(f"The line did not come up in {PATIENCE_S:g} s ({state} {reason}).", TOO_BUSY)
