"""A recording: what a running station took, frame by frame and event by event, and what it made of it.

A folder::

    recording.json      format, configuration, what decided, bounds, what had to be dropped
    events.jsonl        a line for each thing that the signal loop took, in its order; see ``Line``
    reference.jsonl     a line for each part that ended, in their order; see ``PartResult``
    frames/000001.png   each frame whose pixels were kept, lossless; .npy until it is packed

Here are the lines, and the reading.  ``edge.record.recorder`` writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast
from zlib import crc32

import cv2
import msgspec
import numpy as np

from edge.capture.events import (
    CaptureEvent,
    DeviceBack,
    DeviceLost,
    EpochChanged,
    FrameLost,
    FramesMissed,
    TriggerEvent,
    TriggersLost,
)
from edge.core.part import Finding, FrameInfo, Part, Trigger, Verdict
from edge.core.pool import Frame
from edge.errors import RecordingError

HEADER, EVENTS, REFERENCE, FRAMES = "recording.json", "events.jsonl", "reference.jsonl", "frames"
_NEXT = "reference.next.jsonl"  # while another one is accepted

_PLAIN: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (Trigger, FrameLost, FramesMissed, TriggersLost, EpochChanged, DeviceLost, DeviceBack)
}


class Happened(msgspec.Struct, frozen=True, tag="event"):
    """An event of camera or eye without pixels, of the kind named; ``at_ns`` is when the loop handled it."""

    at_ns: int
    kind: str
    data: Any

    def event(self) -> CaptureEvent | TriggerEvent:
        """Return it as the threads posted it.

        Raises:
            RecordingError: it is none.
        """
        try:
            event: CaptureEvent | TriggerEvent = msgspec.convert(self.data, _PLAIN[self.kind])
        except (KeyError, msgspec.ValidationError) as error:
            raise RecordingError(f"No event of a station: {self.kind} {self.data} ({error}).", "record anew.") from None
        return event


class Framed(msgspec.Struct, frozen=True, tag="frame"):
    """A frame came.  ``frame`` counts them within the recording and names its file."""

    at_ns: int
    frame: int
    info: FrameInfo


class Judged(msgspec.Struct, frozen=True, tag="inspected"):
    """An inspection ended.  ``frame`` is 0 for one that began before the recording."""

    at_ns: int
    part: int
    frame: int
    verdict: Verdict


class Commanded(msgspec.Struct, frozen=True, tag="recipe"):
    """Another recipe was commanded."""

    at_ns: int
    recipe: dict[str, Any]


class Turned(msgspec.Struct, frozen=True, tag="turn"):
    """The events of a turn are handled; the rest of it, and what is heard, is done at ``at_ns``."""

    at_ns: int


class Heard(msgspec.Struct, frozen=True, tag="heard"):
    """A message of the gateway.  ``data`` holds its bytes as Latin-1, so that any can stand here."""

    data: str


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """The pixels of a frame were kept; the checksum is of their bytes."""

    frame: int
    crc32: int


Line = Happened | Framed | Judged | Commanded | Turned | Heard | Kept


class PartResult(msgspec.Struct, frozen=True):
    """What one part came to.

    Attributes:
        part, t0_ns: which part; numbers alone come again where a counter began anew.
        frame: the camera's counter of the frame it was given, None where there was none.
    """

    part: int
    t0_ns: int
    outcome: str
    cause: str
    rule: str
    recipe: str
    frame: int | None
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, part: Part) -> PartResult:
        """Take it from a closed part."""
        verdict, frame = part.verdict, part.frame
        if verdict is None:
            raise ValueError(f"Part {part.number} is still open.")
        return cls(
            part=part.number,
            t0_ns=part.trigger.t0_ns,
            outcome=verdict.outcome.value,
            cause=verdict.cause,
            rule=verdict.rule,
            recipe=part.recipe,
            frame=None if frame is None else frame.counter,
            findings=verdict.findings,
        )


class Decider(msgspec.Struct, frozen=True):
    """What decided."""

    model: str
    engine: str
    precision: str
    version: str


class Accepted(msgspec.Struct, frozen=True):
    """That another result was accepted as the reference."""

    wall: str
    decider: Decider
    differences: int


class Header(msgspec.Struct, frozen=True):
    """``recording.json``.

    Attributes:
        config: of the station, with the recipe in force at the start.
        decider: what made the reference.
        ended: why the recording ended, in words.
        dropped: frames that found no spare slot, or were under inspection at the end; their pixels are not here.
        lead_in_ns: parts triggered up to then cannot be compared: a station that starts with the recording has yet to
            learn whose frame is whose.  None where none can.
        accepted: every change of the reference since.
        own_recipe: the configuration's recipe made the reference throughout, whatever was commanded meanwhile.
        reference_crc32: of ``reference.jsonl`` as it was accepted last; None where it is the recorded one.
    """

    config: dict[str, Any]
    decider: Decider
    began_wall: str
    ended: str
    parts: int
    frames: int
    dropped: int
    lead_in_ns: int | None
    accepted: tuple[Accepted, ...] = ()
    own_recipe: bool = False
    reference_crc32: int | None = None
    format: Literal[1] = 1


@dataclass(frozen=True)
class Turn:
    """One turn of the loop: what it handled, the time of its rest, and what it then heard."""

    at_ns: int
    lines: list[Happened | Framed | Judged | Commanded] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)


_lines = msgspec.json.Decoder(Line)
_results = msgspec.json.Decoder(PartResult)


class Recording:
    """Reads a recording.

    Args:
        folder: of the recording.

    Attributes:
        header: as read.
        reference: a result for each part that ended, in their order.

    Raises:
        RecordingError: it is none, or damaged, or of another format.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.header: Header = _read(folder / HEADER, msgspec.json.Decoder(Header))[0]
        self.reference: list[PartResult] = _read(self._accepted(), _results, by_line=True)
        self._lines: list[Line] = _read(folder / EVENTS, _lines, by_line=True)
        self._crc32 = {line.frame: line.crc32 for line in self._lines if isinstance(line, Kept)}

    def _accepted(self) -> Path:
        """Return the file of the reference that the header means: an acceptance may have been interrupted."""
        following, meant = self._folder / _NEXT, self.header.reference_crc32
        return following if meant is not None and _is(following, meant) else self._folder / REFERENCE

    def turns(self) -> Iterator[Turn]:
        """Yield the turns in their order."""
        handled: list[Happened | Framed | Judged | Commanded] = []
        turn: Turn | None = None
        for line in self._lines:
            if isinstance(line, Kept):
                continue
            if isinstance(line, Heard):
                if turn is None:
                    raise RecordingError(f"{self._folder / EVENTS} begins within a turn.", "record anew.")
                turn.heard.append(line.data.encode("latin-1"))
                continue
            if isinstance(line, Turned):
                if turn is not None:
                    yield turn
                turn, handled = Turn(line.at_ns, handled), []
            else:
                handled.append(line)
        if turn is not None:
            yield turn

    def frame(self, number: int, color: str) -> Frame | None:
        """Return the pixels of a frame as the camera gave them, uint8, or None where they were not kept.

        Raises:
            RecordingError: the file is missing, or holds something else.
        """
        if number not in self._crc32:
            return None
        png = self._folder / FRAMES / f"{number:06}.png"
        pixels = read_png(png, color) if png.exists() else _read_npy(png.with_suffix(".npy"))
        if crc32(pixels.tobytes()) != self._crc32[number]:
            raise RecordingError(f"{png} does not hold the frame that was recorded.", "copy the recording anew.")
        return pixels

    def accept(self, header: Header, reference: list[PartResult]) -> None:
        """Replace the reference and the header that belongs to it: both, or neither where it is interrupted.

        Raises:
            RecordingError: it cannot be written.
        """
        data = b"".join(map(encode_line, reference))
        try:
            write_whole(self._folder / _NEXT, data)
            write_header(self._folder, msgspec.structs.replace(header, reference_crc32=crc32(data)))  # decides
            (self._folder / _NEXT).replace(self._folder / REFERENCE)
        except OSError as error:
            raise RecordingError(f"{self._folder} cannot be written ({error}).", "make it writable.") from None


def encode_line(line: Line | PartResult) -> bytes:
    """Return a line as it stands in its file.

    What is no text in Unicode, a file's name in a driver's words, stands there escaped.
    """
    try:
        return msgspec.json.encode(line) + b"\n"
    except UnicodeEncodeError:
        text = json.dumps(msgspec.to_builtins(line), ensure_ascii=False, separators=(",", ":"))
        return re.sub("[\ud800-\udfff]", lambda found: f"\\\\u{ord(found[0]):04x}", text).encode() + b"\n"


def write_header(folder: Path, header: Header) -> None:
    """Write ``recording.json``: from then on the folder is a recording."""
    write_whole(folder / HEADER, msgspec.json.format(msgspec.json.encode(header), indent=1) + b"\n")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole, or as it was."""
    partial = path.with_name(f"{path.name}.part")
    partial.write_bytes(data)
    partial.replace(path)


def pack(folder: Path, color: str) -> int:
    """Turn the frames of a recording into PNG files, which are smaller.  Return how many.

    Raises:
        RecordingError: one cannot be read or written; those packed so far are.
    """
    packed = 0
    for raw in sorted((folder / FRAMES).glob("*.npy")):
        pixels = _read_npy(raw)
        done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if color == "rgb8" else pixels)
        if not done:
            raise RecordingError(f"{raw} cannot be turned into a PNG file.", "keep it: a replay reads it too.")
        try:
            write_whole(raw.with_suffix(".png"), data.tobytes())
            raw.unlink()
        except OSError as error:
            raise RecordingError(f"{raw} cannot be replaced ({error}).", "keep it: a replay reads it too.") from None
        packed += 1
    return packed


def read_png(path: Path, color: str) -> Frame:
    """Return the pixels of a packed frame, in the camera's order of colours.

    Raises:
        RecordingError: it is no image.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise RecordingError(f"{path} is no image.", "copy the recording anew.")
    return cast(Frame, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if color == "rgb8" else pixels)


def _is(path: Path, checksum: int) -> bool:
    return path.exists() and crc32(path.read_bytes()) == checksum


def _read_npy(path: Path) -> Frame:
    try:
        return cast(Frame, np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise RecordingError(f"{path} cannot be read ({error}).", "copy the recording anew.") from None


def _read(path: Path, decoder: msgspec.json.Decoder[Any], by_line: bool = False) -> list[Any]:
    try:
        data = path.read_bytes()
        return [decoder.decode(line) for line in (data.splitlines() if by_line else [data])]
    except OSError as error:
        remedy = "give the folder that `edge record` made; while it is being made it is not complete."
        raise RecordingError(f"{path} cannot be read ({error.strerror}).", remedy) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        remedy = "this version reads format 1; copy the recording anew."
        raise RecordingError(f"{path} is damaged, or no part of a recording ({error}).", remedy) from None
