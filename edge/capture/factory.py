"""From configuration to camera and trigger source.  One branch a kind, whose driver is imported only then."""

from __future__ import annotations

from pathlib import Path

from edge.capture.base import Camera, TriggerSource
from edge.config import CameraConfig, LineConfig, TriggerConfig
from edge.errors import ConfigError


def open_camera(config: CameraConfig) -> Camera:
    """Return the open camera that ``config`` describes.

    Raises:
        CameraError: it cannot be reached, or delivers another size or colour than configured.
    """
    camera = _make_camera(config)
    camera.open()
    return camera


def _make_camera(config: CameraConfig) -> Camera:
    if config.kind == "plant":
        from edge.capture.plant import PlantCamera

        return PlantCamera(config.endpoint, config.width, config.height, config.color)
    if config.kind == "folder":
        from edge.capture.folder import FolderCamera

        return FolderCamera(Path(config.source), config.width, config.height, config.color, config.loop)
    from edge.capture.video import VideoCamera

    return VideoCamera(config.source, config.width, config.height, config.color, config.loop)


def open_trigger(config: TriggerConfig, camera: Camera, line: LineConfig, lane: int = 0) -> TriggerSource:
    """Return the open trigger source that ``config`` describes.

    Args:
        config: says which.
        camera: the camera that goes with it; a timer triggers it.
        line: gives a timer the encoder's resolution and the belt's (highest) speed.
        lane: copied into each trigger.

    Raises:
        ConfigError: nothing would ever trigger this camera.
        CameraError: the source cannot be reached.
    """
    if (config.kind == "timer") != (camera.triggered_by == "software"):
        raise ConfigError(
            f"trigger.kind {config.kind!r} cannot trigger a {type(camera).__name__}, "
            f"which is triggered by {camera.triggered_by}.",
            "use trigger.kind 'plant' with camera.kind 'plant', and 'timer' with the others.",
        )
    source = _make_trigger(config, camera, line, lane)
    source.open()
    return source


def _make_trigger(config: TriggerConfig, camera: Camera, line: LineConfig, lane: int) -> TriggerSource:
    if config.kind == "plant":
        from edge.capture.plant import PlantTrigger

        return PlantTrigger(config.endpoint, lane)
    from edge.capture.timer import TimerTrigger

    return TimerTrigger(config.period_ms, camera, line.counts_per_mm, line.speed_max_mm_s, lane)
