"""Alarms and what follows from them.  Latched ones stand until a reset, by the PLC or by a command.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LATCHED = ("stop", "reject_all")
"""Reactions that end only with a reset."""


@dataclass(frozen=True)
class Alarm:
    """Something that a person must know.

    Attributes:
        name: the identifier in messages, metrics and records.
        text: what happened.
        remedy: what to do.
    """

    name: str
    text: str
    remedy: str


ALARMS: dict[str, Alarm] = {
    a.name: a
    for a in (
        Alarm("bypass", "Parts pass uninspected.", "Set mode auto."),
        Alarm("accept_escapes", "The gate rests in pass: a power cut lets parts through.", "See docs/signal.md."),
        Alarm("consecutive_rejects", "Too many rejects in a row.", "Look at the rejected parts, then reset."),
        Alarm("consecutive_no_decisions", "Too many parts in a row without a decision.", "See the causes, then reset."),
        Alarm("consecutive_unannounced", "The station misses part after part.", "Check its trigger, then reset."),
        Alarm("reject_rate", "Too large a share of rejects.", "Look at the rejected parts, then reset."),
        Alarm("contradicted", "A rejected part was seen on the good side.", "Check the gate and its air, then reset."),
        Alarm("missing", "A permitted part did not arrive.", "Look for a jam or a part taken by hand, then reset."),
        Alarm("bin_full", "The reject bin is full.", "Empty the bin, then reset."),
        Alarm("air_low", "The gate's air pressure is low.", "Check the compressed air, then reset."),
        Alarm("eye_blocked", "The part eye stays covered.", "Free and clean the eye."),
        Alarm("touching_parts", "Parts touch, or the eye bounces.", "Check infeed spacing and eye, then reset."),
        Alarm("journal", "Parts are not being recorded.", "See the disk of journal.folder."),
        Alarm(
            "challenge_failed",
            "The challenge was not passed: inspection or gate cannot be trusted.",
            "Hold what passed since the last one that was passed, mend the cause, and repeat the challenge.",
        ),
        Alarm("challenge_due", "A challenge is due.", "Make it: see docs/challenge.md."),
        Alarm("evidence", "Pictures are not being kept.", "See the disk of evidence.folder."),
        Alarm("disk_low", "The disk of the evidence is nearly full.", "Free room there, or lower evidence.keep_gb."),
        Alarm("encoder_lost", "The encoder and the belt disagree.", "Check the encoder's wheel and cable."),
        Alarm("camera_dark", "The camera's pictures are too dark.", "Check the lamp, the shutter and the lens cover."),
        Alarm("camera_bright", "The camera's pictures are too bright.", "Check stray light, lamp and exposure time."),
        Alarm("camera_blurred", "The camera's pictures are blurred.", "Clean the lens; check focus and exposure time."),
        Alarm("camera_frozen", "The camera shows one picture again and again.", "Switch the camera off and on."),
        Alarm("camera_shifted", "The camera has moved.", "Check its mount; then take a new reference (health)."),
        Alarm("reject_drift", "The share of rejects has left its baseline.", "Look at parts, light and lens."),
        Alarm("score_drift", "The network's scores have left their baseline.", "Look at light, lens and material."),
        Alarm("throughput_low", "Parts come more slowly than they should.", "Look at the infeed and the belt."),
        Alarm("temperature_high", "The computer is too hot.", "Check its fan and filter, and the cabinet's cooling."),
        Alarm("clock_slow", "The processor is held below its clock.", "Check its cooling and the power mode."),
        Alarm(
            "health",
            "Health is not watched in full.",
            "Take a camera reference (edge control SOCKET health reference), or see the station's log and the disk of"
            " health.folder.",
        ),
    )
}


class Alarms:
    """Which alarms stand.

    Args:
        reactions: by name: "off", "alarm", "stop" or "reject_all"; only told where a name is missing.
    """

    def __init__(self, reactions: Mapping[str, str]) -> None:
        self._reactions = reactions
        self._standing: dict[str, str] = {}
        self._active: set[str] = set()

    @property
    def standing(self) -> dict[str, str]:
        """Alarms that stand, by name, in words."""
        return dict(self._standing)

    @property
    def any(self) -> bool:
        """True while an alarm stands."""
        return bool(self._standing)

    @property
    def latched(self) -> list[str]:
        """Names of the alarms that only a reset clears."""
        return [name for name in self._standing if self._reaction(name) in LATCHED]

    @property
    def stops(self) -> bool:
        """True while the belt must stand."""
        return any(self._reaction(name) == "stop" for name in self._standing)

    @property
    def rejects(self) -> bool:
        """True while no part may be permitted."""
        return bool(self.latched)

    def happened(self, name: str, detail: str = "") -> bool:
        """Raise an alarm for something that happened once.  True where it is new and latched."""
        return self._raise(name, detail)

    def condition(self, name: str, holds: bool, detail: str = "") -> bool:
        """Raise or lower an alarm for something that lasts.  True where it is new and latched."""
        if holds:
            self._active.add(name)
            return self._raise(name, detail)
        self._active.discard(name)
        if self._reaction(name) not in LATCHED:
            self._standing.pop(name, None)
        return False

    def reset(self) -> list[str]:
        """Clear every alarm whose condition has ended; return their names."""
        cleared = [name for name in self._standing if name not in self._active]
        for name in cleared:
            del self._standing[name]
        return cleared

    def _reaction(self, name: str) -> str | None:
        return self._reactions.get(name)

    def _raise(self, name: str, detail: str) -> bool:
        if name in self._standing or self._reaction(name) == "off":
            return False
        self._standing[name] = f"{ALARMS[name].text} {detail}".strip()
        return self._reaction(name) in LATCHED
