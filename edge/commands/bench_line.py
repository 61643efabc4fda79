"""A line for measurements: pictures from memory, triggers by the clock, and a gateway that grants and acknowledges.

What lies between is the station itself: its threads, mailbox, ledger, engine, publisher and reporter.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import numpy as np
import zmq
from numpy.typing import NDArray

from edge.capture.base import Camera, SoftwareTriggeredCamera, TriggerSource
from edge.capture.timer import TimerTrigger
from edge.clock import boot_id, now_ns
from edge.config import (
    CameraConfig,
    Color,
    GatewayLinkConfig,
    LimitsConfig,
    LineConfig,
    StationConfig,
    TelemetryConfig,
)
from edge.core.outcome import Disposition
from edge.core.part import FrameInfo
from edge.core.pool import Frame
from edge.engine.base import Engine
from edge.errors import WireError
from edge.model.golden import synthetic_frame
from edge.station.inspection import WARM_UP
from edge.wire import messages as wire
from edge.wire.sockets import Context, bind, send

TEXTURES = 4
TILE_PX = 320
FAR_MM = 50_000.0
PATIENT_MS = 10_000.0
"""Gate and time-outs so far away that a slow spell is measured, not cut off."""


class BenchCamera(SoftwareTriggeredCamera):
    """Copies one of a few synthetic surfaces into the slot for each software trigger."""

    def __init__(self, width: int, height: int, color: Color) -> None:
        super().__init__(width, height, color)
        self._textures = [_surface(seed, self.shape) for seed in range(TEXTURES)]

    def open(self) -> None:
        """Begin at frame 1."""
        self._restart()

    def close(self) -> None:
        """Do nothing: it holds memory alone."""

    def _check_open(self) -> None:
        pass

    def _picture(self, into: Frame, counter: int, t0_ns: int) -> FrameInfo | None:
        np.copyto(into, self._textures[counter % TEXTURES])
        return FrameInfo(counter, exposed_ns=t0_ns, t1_ns=now_ns())


def _surface(seed: int, shape: tuple[int, ...]) -> Frame:
    """Return a frame of ``shape`` tiled with one synthetic surface."""
    height, width, *channels = shape
    tile = synthetic_frame(seed, (TILE_PX, TILE_PX, channels[0] if channels else 1))
    tiled = np.tile(tile, (-(-height // TILE_PX), -(-width // TILE_PX), 1))[:height, :width]
    return np.ascontiguousarray(tiled.reshape(shape))


class TimedEngine(Engine):
    """Another engine, with the time of each run written down.

    Attributes:
        runs_ns: (runs, 2) int64, start and end of each run on the monotonic clock; only ``count`` rows hold one.
        count: runs so far, those of the warm-up not counted.
    """

    def __init__(self, engine: Engine, runs: int) -> None:
        super().__init__(engine.input.shape)
        self.name, self.precision, self.input = engine.name, engine.precision, engine.input
        self.runs_ns: NDArray[np.int64] = np.full((runs, 2), -1, np.int64)
        self.count = -WARM_UP  # the inspect thread's first runs look at no part
        self._engine = engine

    def _run(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        start = now_ns()
        output = self._engine.run(image)
        if 0 <= self.count < len(self.runs_ns):
            self.runs_ns[self.count] = start, now_ns()
        self.count += 1
        return output

    def _close(self) -> None:
        """Leave the other engine to its owner."""


def bench_config(config: StationConfig, folder: Path) -> StationConfig:
    """Return the configuration of a measurement: model, recipe, frame and pool of ``config``, sockets in ``folder``."""
    camera = config.camera
    return StationConfig(
        name="bench",
        line=LineConfig(trigger_to_gate_mm=FAR_MM),
        camera=CameraConfig(width=camera.width, height=camera.height, color=camera.color),
        model=config.model,
        recipe=config.recipe,
        limits=LimitsConfig(
            ceiling_ms=PATIENT_MS,
            frame_timeout_ms=PATIENT_MS / 2,
            open_parts=config.limits.open_parts,
            pool_slots=config.limits.pool_slots,
            hang_ms=2 * PATIENT_MS,
        ),
        gateway=GatewayLinkConfig(endpoint=f"ipc://{folder}/gateway", stale_ms=PATIENT_MS),
        telemetry=TelemetryConfig(endpoint=f"ipc://{folder}/telemetry"),
    )


def bench_devices(
    period_ms: float,
) -> Callable[[StationConfig], AbstractContextManager[tuple[Camera, TriggerSource]]]:
    """Return what opens a ``BenchCamera`` and triggers it every ``period_ms``."""

    @contextmanager
    def devices(config: StationConfig) -> Iterator[tuple[Camera, TriggerSource]]:
        camera = BenchCamera(config.camera.width, config.camera.height, config.camera.color)
        line = config.line
        source = TimerTrigger(period_ms, camera, line.counts_per_mm, line.speed_max_mm_s, config.lane)
        with camera, source:
            yield camera, source

    return devices


@contextmanager
def bench_gateway(endpoint: str) -> Iterator[None]:
    """Run a process at ``endpoint`` that grants every session and acknowledges every verdict, for no gate at all."""
    process = multiprocessing.get_context("spawn").Process(target=_answer, args=(endpoint,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()
        process.close()


def _answer(endpoint: str) -> None:
    with Context() as context, closing(bind(context, zmq.ROUTER, endpoint)) as router:
        session = 0
        while True:
            peer, data = router.recv_multipart()
            try:
                message = wire.decode_to_gateway(data)
            except WireError:
                continue  # the station counts what stays unanswered
            if isinstance(message, wire.Hello):
                session += 1
                send(router, peer, _grant(session, message.fail_safe))
            elif isinstance(message, wire.Verdict):
                ack = wire.Ack(
                    session=message.session,
                    part=message.part,
                    disposition=Disposition.ACCEPTED.value,
                    accepted_ns=now_ns(),
                )
                send(router, peer, ack)
            elif isinstance(message, wire.Heartbeat):
                send(router, peer, wire.GatewayBeat(beat=message.beat, plc_ok=True, count=0, mode="auto"))


def _grant(session: int, fail_safe: str) -> wire.Grant:
    return wire.Grant(
        session=session,
        gateway_session=1,
        plc_session=1,
        epoch=0,
        fence=0,
        fail_safe=fail_safe,
        boot_id=boot_id(),
    )
