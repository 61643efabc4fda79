"""What the commands' options say of the simulation before any of it is loaded: it takes OpenCV and a Modbus server."""

from __future__ import annotations

TRIGGER = "tcp://127.0.0.1:5571"
CAMERA = "tcp://127.0.0.1:5572"
TELEMETRY = "ipc:///tmp/edge-station-telemetry"
MIN_FRAME = 128  # px, the shorter side of a rendered plate
TRAINING_SEEDS_FROM = 1_000_000  # seeds below are for demonstrations and tests: no detector has seen their plates
