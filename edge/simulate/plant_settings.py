"""What one run of the plant is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edge.simulate import options
from edge.simulate.devices import MONO8, Faults, Scene, SurfaceScene
from edge.simulate.marks import MarksScene
from edge.simulate.pictures import FolderScene, ListedScene
from edge.simulate.plc_io import PlcSettings
from edge.simulate.rights import JudgeSettings
from edge.simulate.surface import Surface
from edge.simulate.world import Line


@dataclass(frozen=True)
class PlantSettings:
    """Everything about one run.

    Attributes:
        line: geometry and timing; ``line.parts`` plates end the run.
        plc: the PLC's settings; geometry is taken from ``line``.
        camera_start: the camera's counter at the first frame, 32 bit.
        size: (width, height) of frames, px; not of ``images``, which have their own.
        color: ``mono8`` or ``bgr8``.
        images: a folder of pictures to show instead of rendered steel.
        pictures: a list of pictures to show instead, with what is on them (``edge.simulate.pictures``).
        surface_seed, defect_rate: of the rendered steel.
        trigger, camera: endpoints to bind.
        telemetry: the station's endpoint to listen to.
        modbus_host, modbus_port: of the PLC.
        reset_s: how long after the PLC has stopped the belt the operator presses reset.
        settle_s: wait after the last plate.
        console: where the console listens, a Unix socket; None has none.
        marks: show tiny frames with marks (``edge.simulate.marks``) instead of steel.
    """

    line: Line = field(default_factory=lambda: Line(parts=100))
    plc: PlcSettings = field(default_factory=PlcSettings)
    faults: Faults = field(default_factory=Faults)
    camera_start: int = 77
    size: tuple[int, int] = (640, 512)
    color: str = MONO8
    images: Path | None = None
    pictures: Path | None = None
    surface_seed: int = 7
    defect_rate: float = 0.3
    trigger: str = options.TRIGGER
    camera: str = options.CAMERA
    telemetry: str = options.TELEMETRY
    modbus_host: str = "127.0.0.1"
    modbus_port: int = 5020
    reset_s: float = 2.0
    settle_s: float = 1.5
    console: Path | None = None
    marks: bool = False

    def scene(self) -> Scene:
        """Build where images come from."""
        if self.images is not None:
            return FolderScene(self.images, self.color)
        if self.pictures is not None:
            return ListedScene(self.pictures, self.size, self.color)
        width, height = self.size
        if self.marks:
            return MarksScene(self.size, self.surface_seed, self.defect_rate)
        return SurfaceScene(Surface(width, height, self.surface_seed, self.defect_rate), self.size, self.color)


def judge_settings(plc: PlcSettings) -> JudgeSettings:
    """Return what the referee reckons with on a line with this PLC."""
    return JudgeSettings(
        counts_per_mm=plc.counts_per_mm,
        gate_mm=plc.gate_mm,
        lead_mm=plc.lead_mm,
        v_max_mm_s=plc.v_max_mm_s,
        response_ms=plc.response_ms,
        scan_ms=plc.scan_ms,
        output_ms=plc.output_ms,
        margin_ms=plc.margin_ms,
        pitch_min_mm=plc.pitch_min_mm,
        eye_scatter_mm=plc.eye_scatter_mm,
        watchdog_ms=plc.watchdog_ms,
        pulse=plc.pulse,
    )
