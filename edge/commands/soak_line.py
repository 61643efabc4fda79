"""The soak's line: as fast as two cores hold, and scaled so that `edge check` accepts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.commands import check
from edge.commands.config_edit import Values, edited
from edge.commands.processes import Line

PITCH_MM, LENGTH_MM = 100.0, 20.0
TRAVEL_MS = 120.0  # eye to gate: a verdict's 80 ms, the PLC's share, and some
FRAME = (64, 48, "mono8")
SCAN_MS, RESPONSE_MS, OUTPUT_MS, MARGIN_MS = 1.0, 0.5, 0.2, 1.0
INSPECTION_MS = 1.0
EVIDENCE_GB = 0.02  # so little that the oldest pictures go all the time
_EYE_SCATTER_MS, _RESPONSE_SCATTER_MS = 0.05, 0.1
_EXPOSED_MS = 2.0  # the plant's camera, after the eye's edge
_WINDOW_SHARE = 0.8  # of a period: a wider window of exposure fits two parts


@dataclass(frozen=True)
class FastLine:
    """A belt with ``rate`` parts a second, and a journal bounded to ``keep_gb`` for each process."""

    rate: float
    keep_gb: float

    @property
    def speed_mm_s(self) -> float:
        """Of the belt."""
        return self.rate * PITCH_MM

    @property
    def gate_mm(self) -> float:
        """Eye to gate."""
        return self.speed_mm_s * TRAVEL_MS / 1000

    def plant_options(self, parts: int, seed: int) -> list[str]:
        """Return the options of `edge simulate plant`.  Plates keep coming whatever happens."""
        options = {
            "parts": parts,
            "seed": seed,
            "run-seed": seed,
            "scene": "marks",
            "infeed": "free",
            "speed": self.speed_mm_s,
            "v-max": self.speed_mm_s,
            "pitch": PITCH_MM,
            "pitch-min": 0.9 * PITCH_MM,
            "length": LENGTH_MM,
            "length-max": 1.2 * LENGTH_MM,
            "gate": self.gate_mm,
            "scan": SCAN_MS,
            "response": RESPONSE_MS,
            "output": OUTPUT_MS,
            "margin": MARGIN_MS,
        }
        return [word for name, value in options.items() for word in (f"--{name}", str(value))]

    def configure(self, folder: Path) -> None:
        """Bring `station.toml` and `gateway.toml` in ``folder`` to this line.

        Raises:
            BudgetError: `edge check` refuses the line: the rate is too high for its gate.
        """
        for name, own in (("station", self._of_station()), ("gateway", self._of_gateway())):
            path = folder / f"{name}.toml"
            path.write_text(edited(path.read_text(), {**self._shared(), **own}, str(path)))
            check.check(path).refuse()

    def _shared(self) -> dict[tuple[str, str], float]:
        return {
            ("line", "pitch_min_mm"): PITCH_MM,
            ("line", "part_length_min_mm"): LENGTH_MM,
            ("line", "part_length_max_mm"): LENGTH_MM,
            ("line", "speed_min_mm_s"): self.speed_mm_s,
            ("line", "speed_max_mm_s"): self.speed_mm_s,
            ("line", "trigger_to_gate_mm"): self.gate_mm,
            ("line", "eye_scatter_ms"): _EYE_SCATTER_MS,
            ("actuator", "response_max_ms"): RESPONSE_MS,
            ("actuator", "response_scatter_ms"): _RESPONSE_SCATTER_MS,
            ("actuator", "move_ms"): RESPONSE_MS,
            ("actuator", "switch_off_ms"): RESPONSE_MS,
            ("plc_timing", "scan_ms"): SCAN_MS,
            ("plc_timing", "output_ms"): OUTPUT_MS,
            ("plc_timing", "margin_ms"): MARGIN_MS,
            ("journal", "keep_gb"): self.keep_gb,
        }

    def _of_station(self) -> Values:
        period_ms = 1000 / self.rate
        return {
            ("camera", "window_early_ms"): 0.0,
            ("camera", "window_late_ms"): max(1.5 * _EXPOSED_MS, _WINDOW_SHARE * period_ms),
            ("model", "null_ms"): INSPECTION_MS,
            ("limits", "ceiling_ms"): 80.0,
            ("limits", "frame_timeout_ms"): 40.0,
            ("limits", "open_parts"): 256,
            ("limits", "pool_slots"): 24,
            ("evidence", "keep_gb"): EVIDENCE_GB,
        }

    def _of_gateway(self) -> Values:
        """Return what is the gateway's alone; the guards' patience is that of an ordinary line, in seconds."""
        return {
            ("plc", "poll_ms"): 8.0,
            ("guard", "consecutive_rejects"): round(5 * self.rate),
            ("guard", "consecutive_no_decisions"): round(3 * self.rate),
            ("guard", "consecutive_unannounced"): round(self.rate),
            ("guard", "reject_rate_parts"): min(10_000, round(20 * self.rate)),
        }


def journal_folders(line: Line) -> dict[str, Path]:
    """Return where each process of ``line`` keeps its journal."""
    return {name: line.folder / f"{name}-journal" for name in ("station", "gateway")}
