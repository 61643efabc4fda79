"""`[health]` of `station.toml`: what is watched beside the parts, and what follows when it is not as it should be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.config.line import NotNegative, Positive, Section

HealthReaction = Literal["off", "alarm", "hold"]
"""``hold``: the station is in FAULT and nobody is let in until it ends, or until a person gives the command `health
clear`."""

Factor = Annotated[float, Field(ge=1.2, le=100)]
"""Of the odds of a rate.  A smaller one would find changes that no line is free of."""


class DarkConfig(Section):
    """The picture is too dark: the median of the last pictures' mean grey level."""

    reaction: HealthReaction = "alarm"
    min_level: Annotated[float, Field(ge=0, lt=255)] = 12.0
    """Grey level, 0..255, with or without a reference."""
    min_share: Annotated[float, Field(ge=0, lt=1)] = 0.6
    """Of the reference's grey level."""


class BrightConfig(Section):
    """The picture is too bright."""

    reaction: HealthReaction = "alarm"
    max_level: Annotated[float, Field(gt=0, le=255)] = 240.0
    max_share: Annotated[float, Field(gt=1)] = 1.6
    """Of the reference's grey level."""
    max_clipped: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of pixels that are white."""


class BlurredConfig(Section):
    """The picture has lost its detail.  Needs a reference."""

    reaction: HealthReaction = "alarm"
    min_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Of the reference's sharpness."""


class FrozenConfig(Section):
    """The camera delivers the same picture again and again."""

    reaction: HealthReaction = "alarm"
    pictures: Annotated[int, Field(ge=2, le=1000)] = 4
    """That were looked at in a row, bit by bit alike."""


class ShiftedConfig(Section):
    """What stays in its place in the picture has moved.  Needs a reference."""

    reaction: HealthReaction = "alarm"
    max_px: Positive = 12.0
    """Of the frame, along either side."""


class RejectDriftConfig(Section):
    """The share of rejects has left its baseline, upwards or downwards."""

    reaction: HealthReaction = "alarm"
    factor: Factor = 2.0
    """Change of the baseline's odds that is found most quickly, upwards and downwards."""


class ScoreDriftConfig(Section):
    """The scores of what the network finds have left their baseline, upwards or downwards."""

    reaction: HealthReaction = "alarm"
    factor: Factor = 2.0
    """Change of the odds of a score above the baseline's median that is found most quickly."""


class BaselineConfig(Section):
    """How the baseline of both drifts is learnt, and how often they may raise a false alarm."""

    parts: Annotated[int, Field(ge=100, le=10_000_000)] = 5000
    """That were decided on, at least, for the share of rejects."""
    rejects: Annotated[int, Field(ge=0, le=1_000_000)] = 300
    """Among them, at least: the fewer, the larger a change must be to be told from chance."""
    most_parts: Annotated[int, Field(ge=100, le=100_000_000)] = 500_000
    """After which no more rejects are waited for."""
    findings: Annotated[int, Field(ge=100, le=20_000)] = 1000
    """Parts with a finding, for the scores."""
    false_alarms_per_year: Annotated[float, Field(gt=0, le=1000)] = 0.1
    """Of both drifts together, at the line's highest speed day and night."""


class ThroughputConfig(Section):
    """Parts come too slowly while the line runs.  Nobody is held back for that."""

    reaction: Literal["off", "alarm"] = "alarm"
    min_parts_per_min: NotNegative = 0.0
    """0: none is too slow."""
    stop_s: Positive = 10.0
    """A longer gap is a stop, and no slow part."""


class TemperatureConfig(Section):
    """The hottest thermal zone that the machine tells of."""

    reaction: HealthReaction = "alarm"
    max_c: Annotated[float, Field(gt=0, le=150)] = 90.0


class ClockConfig(Section):
    """The processor may not run at its full clock: heat, a power mode or a governor has lowered its ceiling."""

    reaction: HealthReaction = "alarm"
    min_share: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Of the highest clock that the hardware has; the slowest core counts."""


class HealthConfig(Section):
    """`[health]`.  Without ``folder`` nothing is watched."""

    folder: str | None = None
    """Where the camera's reference and the baselines are kept: a folder of this station's own."""
    pictures_per_s: Annotated[float, Field(gt=0, le=10)] = 2.0
    """Looked at, at most."""
    dark: DarkConfig = DarkConfig()
    bright: BrightConfig = BrightConfig()
    blurred: BlurredConfig = BlurredConfig()
    frozen: FrozenConfig = FrozenConfig()
    shifted: ShiftedConfig = ShiftedConfig()
    reject: RejectDriftConfig = RejectDriftConfig()
    score: ScoreDriftConfig = ScoreDriftConfig()
    baseline: BaselineConfig = BaselineConfig()
    throughput: ThroughputConfig = ThroughputConfig()
    temperature: TemperatureConfig = TemperatureConfig()
    clock: ClockConfig = ClockConfig()

    @model_validator(mode="after")
    def _watched_at_all(self) -> HealthConfig:
        fields = type(self).model_fields.items()
        changed = [name for name, field in fields if name != "folder" and getattr(self, name) != field.default]
        if self.folder is None and changed:
            raise ValueError(f"health.{changed[0]} needs health.folder: without it nothing is watched")
        return self

    def reactions(self) -> dict[str, str]:
        """Return the reaction of each check, by the name of its alarm."""
        return {
            "camera_dark": self.dark.reaction,
            "camera_bright": self.bright.reaction,
            "camera_blurred": self.blurred.reaction,
            "camera_frozen": self.frozen.reaction,
            "camera_shifted": self.shifted.reaction,
            "reject_drift": self.reject.reaction,
            "score_drift": self.score.reaction,
            "throughput_low": self.throughput.reaction,
            "temperature_high": self.temperature.reaction,
            "clock_slow": self.clock.reaction,
        }

    def needs_person(self) -> list[str]:
        """Return the alarms that hold the line and cannot end by themselves: without parts nothing is measured."""
        by_itself = ("temperature_high", "clock_slow")
        return [name for name, reaction in self.reactions().items() if reaction == "hold" and name not in by_itself]
