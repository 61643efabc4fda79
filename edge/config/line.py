"""What station and gateway share: types, the belt, the gate, times, and where they publish and are commanded."""

from __future__ import annotations

import hashlib
import ipaddress
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
_PORT = r"([1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])"
Endpoint = Annotated[
    str, Field(pattern=rf"^(ipc://[^@\x00][^\x00]*|tcp://([^:;\x00\[\]]+|\[[0-9a-fA-F:]+\]):{_PORT})$")
]
"""``ipc://@NAME`` is refused: a socket without a file has no permissions."""

Mode = Annotated[str, Field(pattern=r"^0?[0-7]{3}$")]

Priority = Annotated[int, Field(ge=0, le=80)]
"""Of SCHED_FIFO; 0 leaves the process as it is.  Without the right to it, a warning and an ordinary process."""

FailSafe = Literal["reject", "stop_line"]
Color = Literal["mono8", "bgr8", "rgb8"]


def stays_on_host(endpoint: str) -> bool:
    """True where no other host can reach ``endpoint``."""
    if endpoint.startswith("ipc://"):
        return True
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or * for all addresses
        return False


class Section(BaseModel):
    """A section: unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LineConfig(Section):
    """The belt.  Station, gateway and PLC must mean the same line, so its digest travels with every session."""

    pitch_min_mm: Positive = 100.0
    part_length_min_mm: Positive = 60.0
    part_length_max_mm: Positive = 60.0
    speed_min_mm_s: Positive = 1000.0
    speed_max_mm_s: Positive = 1000.0
    trigger_to_gate_mm: Positive = 500.0
    counts_per_mm: Positive = 10.0
    eye_scatter_ms: NotNegative = 0.5
    slip_mm: NotNegative = 1.0
    backlash_mm: NotNegative = 2.0
    """How far the belt may run backwards without any part meeting the eye again."""

    @model_validator(mode="after")
    def _ordered(self) -> LineConfig:
        if self.speed_min_mm_s > self.speed_max_mm_s:
            raise ValueError(f"speed_min_mm_s {self.speed_min_mm_s} exceeds speed_max_mm_s {self.speed_max_mm_s}")
        if self.part_length_min_mm > self.part_length_max_mm:
            raise ValueError(
                f"part_length_min_mm {self.part_length_min_mm} exceeds part_length_max_mm {self.part_length_max_mm}"
            )
        if self.part_length_max_mm >= self.pitch_min_mm:
            raise ValueError(
                f"part_length_max_mm {self.part_length_max_mm} leaves no gap within pitch_min_mm {self.pitch_min_mm}"
            )
        if self.backlash_mm >= self.pitch_min_mm / 2:
            raise ValueError(f"backlash_mm {self.backlash_mm} must be below half of pitch_min_mm {self.pitch_min_mm}")
        return self

    def digest(self) -> str:
        """Return a short fingerprint of the line's numbers."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class ActuatorConfig(Section):
    """The device at the gate.  Which fields count depends on ``kind``; see ARCHITECTURE.md and `edge check`."""

    kind: Literal["blow_off", "diverter", "stop"] = "diverter"
    response_max_ms: NotNegative = 10.0
    response_scatter_ms: NotNegative = 2.0
    pulse_ms: NotNegative = 70.0
    nozzle_mm: NotNegative = 10.0
    cover_mm: NotNegative = 20.0
    blade_mm: NotNegative = 0.0
    move_ms: NotNegative = 10.0
    deceleration_mm_s2: Positive = 2000.0
    switch_off_ms: NotNegative = 10.0
    deenergised_state: Literal["reject", "pass"] = "reject"
    max_energised_ms: NotNegative = 0.0
    """0: the output may stay on for as long as windows follow each other."""


class PlcTimingConfig(Section):
    """How long a permit takes from the gateway to the output."""

    scan_ms: Positive = 10.0
    output_ms: NotNegative = 2.0
    write_ms: NotNegative = 8.0
    margin_ms: NotNegative = 5.0
    link_ms: NotNegative = 2.0


class TelemetryConfig(Section):
    """Where counters and part records are published."""

    endpoint: Endpoint = "ipc:///tmp/edge-station-telemetry"
    mode: Mode = "0600"
    """File mode of an ipc endpoint: who may read."""

    @model_validator(mode="after")
    def _stays_on_this_host(self) -> TelemetryConfig:
        if not stays_on_host(self.endpoint):
            raise ValueError(
                f"endpoint {self.endpoint!r} would publish to everybody, unprotected: use ipc:// or tcp://127.0.0.1, "
                "and let the monitor serve other hosts"
            )
        return self


class ControlConfig(Section):
    """The control socket: a Unix socket whose file permissions say who may command.  Each command is recorded."""

    path: str | None = None
    mode: Mode = "0600"
    record: str | None = None

    @model_validator(mode="after")
    def _record_of_something(self) -> ControlConfig:
        if self.record is not None and self.path is None:
            raise ValueError("record needs path: without a socket nothing can be commanded or reset")
        return self


class JournalConfig(Section):
    """The record of every part: SQLite, one file a day, in a folder of the process's own."""

    folder: str | None = None
    """None: nothing is journaled."""
    keep_days: Annotated[int, Field(ge=1, le=36_500)] = 400
    keep_gb: Annotated[float, Field(gt=0, le=100_000)] = 50.0
    """Whichever bound is met first: the oldest files go."""
    room: Annotated[int, Field(ge=64, le=1_000_000)] = 20_000
    """Rows that may wait for the disk; what comes beyond is counted, and the journal says how many are missing."""


class FlightConfig(Section):
    """The flight recorder: the last events of every thread, kept in memory and written out when something breaks."""

    folder: str | None = None
    """Where traces are written.  None: none are, and nothing is kept in memory."""
    events: Annotated[int, Field(ge=1024, le=4_194_304)] = 65_536
    keep: Annotated[int, Field(ge=1, le=1000)] = 20
    """Traces that are kept; the oldest go."""


class SecurityConfig(Section):
    """Who may speak on the signal path: file permissions on one host, CURVE and an allow-list between hosts."""

    ipc_mode: Mode = "0600"
    """File mode of the gateway's ipc socket: who may speak as a station."""
    key: str | None = None
    """This process's secret key file, made by `edge keys new`."""
    server_key: str | None = None
    """Station: the gateway's public key file."""
    allow: str | None = None
    """Gateway: the allow-list, which binds each public key to a station and a lane."""

    def match(self, endpoint: str | None, name: str, needed: str, foreign: str) -> None:
        """Check that keys are given where they are needed, and only where they are applied.

        Args:
            endpoint: of the signal path, or None without one.
            name: of its key in the file.
            needed, foreign: what it needs beside ``key``, and what belongs to the other end.

        Raises:
            ValueError: they do not fit.
        """
        if getattr(self, foreign) is not None:
            raise ValueError(f"security.{foreign} belongs to the other end, and would not be applied here: remove it")
        given = [key for key in ("key", needed) if getattr(self, key) is not None]
        if endpoint is not None and endpoint.startswith("tcp://"):
            if len(given) < 2:
                raise ValueError(
                    f"{name} = {endpoint!r} is open to the network, loopback included: it needs security.key and "
                    f"security.{needed} (see `edge keys`), or an ipc:// endpoint on one host"
                )
        elif given:
            raise ValueError(
                f"security.{given[0]} would not be applied: {name} = {endpoint!r} is no TCP endpoint, and over ipc the "
                f"file's mode decides (security.ipc_mode)"
            )
