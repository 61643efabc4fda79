"""The station's tape: records on command what the loop takes and what comes of it.

It is always in its place and does nothing until a recording begins.  All but ``open`` and ``status`` belongs to the
signal thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import msgspec

from edge.capture.events import FrameArrived, FrameLost
from edge.config import ModelConfig, RecipeConfig, StationConfig
from edge.core.part import FrameInfo, Part, Trigger
from edge.core.pool import FramePool, Lease, Purpose
from edge.errors import RecordingError
from edge.record.recorder import Bounds, RecordingWriter
from edge.record.recording import Commanded, Decider, Framed, Happened, Heard, Judged, Line, Turned
from edge.station.inspection import Inspected
from edge.station.interfaces import StationEvent
from edge.station.orders import Order
from edge.wire import messages as wire
from edge.wire.control import Command
from edge.wire.publisher import StationTransport

CLOSE_S = 2.0

_UNPAIRED = frozenset({"not_synchronised", "frame_ambiguous"})


class Recorder:
    """Records what the station goes through, to be replayed.

    Args:
        config: of the station.
        decider: what decides at first.
        pool: whose spare slots hold frames until they are written.

    Attributes:
        recipe: in force; whoever changes it says so here.
    """

    def __init__(self, config: StationConfig, decider: Decider, pool: FramePool) -> None:
        self._config, self._pool = config, pool
        self.recipe, self._decider, self._settings = config.recipe, decider, config.model
        self._opened = self._in_force()
        self._writer: RecordingWriter | None = None  # of the recording that runs
        self._last: RecordingWriter | None = None  # of that, or of the one before
        self._ending = ""  # why it ends with this turn, which is recorded as a whole
        self._last_turn = False
        self._numbers: dict[Lease, int] = {}  # of the frames whose slots are in use
        self._lead_in = _LeadIn(0, 0)
        self._granted: bytes | None = None  # the session in force, until the tape has it

    def open(self, folder: Path, bounds: Bounds) -> RecordingWriter:
        """Prepare a recording that ``begin`` then starts; in a thread that may wait for the disk.

        Raises:
            RecordingError: one runs already, or the folder cannot be used.
        """
        if self._last is not None and self._last.status()["running"]:
            raise RecordingError(f"{self._last.folder} is still being recorded.", "wait for its end, or stop it.")
        recipe, decider, settings = self._opened = self._in_force()
        config = self._config.model_copy(update={"recipe": recipe, "model": settings})
        self._last = RecordingWriter(folder, self._pool, config.model_dump(mode="json"), decider, bounds)
        return self._last

    def details(self) -> dict[str, Any]:
        """Return how far the recording is, or how the last one ended; empty where there was none."""
        return {} if self._last is None else {"recording": self._last.status()}

    def begin(self, writer: RecordingWriter, grant: wire.Grant | None) -> None:
        """Record from this turn on; ``grant`` is the session that is in force.

        Raises:
            RecordingError: another model or recipe came into force since it was opened.
        """
        if self._opened != self._in_force():
            writer.end("what decides changed before it began")
            raise RecordingError(f"{writer.folder} was opened for another model or recipe.", "record to a new folder.")
        self.end("another began")
        self._writer = writer
        self._lead_in = _LeadIn(self._config.camera.sync_pairs, self._pool.occupancy()[Purpose.INSPECTION.value])
        self._numbers.clear()
        self._granted = None if grant is None else wire.encode(grant)

    def model_changed(self, recipe: RecipeConfig, decider: Decider, settings: ModelConfig) -> None:
        """Note another model, with its recipe.  A recording has one: one that runs ends with this turn.

        No part of the new model begins in it: what a turn takes was posted before it.
        """
        self.recipe, self._decider, self._settings = recipe, decider, settings
        if self._writer is not None:
            self._ending = "another model was put in force"

    def stop(self) -> None:
        """End the recording after this turn of the loop."""
        self._ending = "it was stopped"

    def end(self, why: str) -> None:
        """End the recording now, between two turns, if one runs."""
        if self._writer is not None:
            self._writer.end(why)
        self._writer, self._ending, self._last_turn = None, "", False

    def close(self) -> None:
        """End the recording, and wait a moment for the disk."""
        self.end("the station stopped")
        if self._last is not None:
            self._last.end("the station stopped")  # one that was opened and never begun
            self._last.join(CLOSE_S)

    # -- the tape ---------------------------------------------------------------------------------------------------

    def event(self, at_ns: int, event: StationEvent) -> None:
        """Take an event of the mailbox."""
        if self._last_turn:
            self.end(self._ending)
        if self._writer is not None:
            line = self._line(self._writer, at_ns, event)
            if line is not None:
                self._writer.put(line)

    def turn(self, at_ns: int) -> None:
        """Take the time of the rest of a turn."""
        if self._last_turn:
            self.end(self._ending)
        if self._writer is None:
            return
        self._ending = self._ending or self._writer.over(at_ns)
        self._last_turn = bool(self._ending)
        self._writer.put(Turned(at_ns))
        self._writer.lead_in_ns = self._lead_in.ended_ns(self._numbers.values())
        if self._granted is not None:  # the replay's station hears first what this one has heard before
            self._writer.put(Heard(self._granted.decode("latin-1")))
            self._granted = None

    def heard(self, data: bytes) -> None:
        """Take a message of the gateway."""
        if self._writer is not None:
            self._writer.put(Heard(data.decode("latin-1")))

    def keep(self, lease: Lease) -> bool:
        """Take over a frame's slot, where evidence has one to spare."""
        number = self._numbers.pop(lease, None)
        if number is None or self._writer is None or not self._pool.hand_over(lease, Purpose.EVIDENCE):
            return False
        self._writer.frame(number, lease)
        return True

    def concluded(self, part: Part) -> None:
        """Take a closed part."""
        if self._writer is not None:
            self._lead_in.ended(part)
            self._writer.part(part)

    def _in_force(self) -> tuple[RecipeConfig, Decider, ModelConfig]:
        return self.recipe, self._decider, self._settings

    def _line(self, writer: RecordingWriter, at_ns: int, event: StationEvent) -> Line | None:
        self._lead_in.saw(event)
        if isinstance(event, FrameArrived):
            number = self._numbers[event.lease] = writer.came()
            return Framed(at_ns, number, event.info)
        if isinstance(event, Inspected):
            number = self._numbers.get(event.lease, 0)
            self._lead_in.foreign -= number == 0
            return Judged(at_ns, event.number, number, event.verdict)
        if isinstance(event, Order):
            return None if event.recipe is None else Commanded(at_ns, event.recipe.model_dump(mode="json"))
        return Happened(at_ns, type(event).__name__, event)


class _LeadIn:
    """Tells which parts a station that starts with the recording cannot decide as this one did.

    It has to learn from pairs of trigger and frame, in a row, whose frame is whose; and while frames that came before
    then are in use, they hold slots here and not there.

    Args:
        pairs: that make the offset of the counters trusted.
        foreign: inspections under way that began before the recording.
    """

    def __init__(self, pairs: int, foreign: int) -> None:
        self._pairs, self.foreign = pairs, foreign
        self._frames: set[FrameInfo] = set()  # that the recording has
        self._first_ns: int | None = None  # T0 of its first and of its newest trigger
        self._newest_ns = 0
        self._leaving: set[int] | None = None  # recorded frames that were in use when all was known
        self._until_ns: int | None = None

    def saw(self, event: StationEvent) -> None:
        """Take an event that is recorded."""
        if self._until_ns is not None:
            return
        if isinstance(event, Trigger):
            self._first_ns = event.t0_ns if self._first_ns is None else self._first_ns
            self._newest_ns = max(self._newest_ns, event.t0_ns)
        elif isinstance(event, FrameArrived | FrameLost):
            self._frames.add(event.info)

    def ended(self, part: Part) -> None:
        """Take a part that ended."""
        paired = part.verdict is not None and part.verdict.cause not in _UNPAIRED and part.frame in self._frames
        self._pairs -= paired and self._first_ns is not None and part.trigger.t0_ns >= self._first_ns

    def ended_ns(self, in_use: Collection[int]) -> int | None:
        """Return the T0 of the last part of the lead-in, once all is as a replay will have it; asked between turns.

        Args:
            in_use: recorded frames that hold slots; those that came later than the last pair hold them there too.
        """
        if self._until_ns is None and self._pairs <= 0 and self.foreign <= 0:
            self._leaving = set(in_use) if self._leaving is None else self._leaving.intersection(in_use)
            if not self._leaving:
                self._until_ns = self._newest_ns
        return self._until_ns


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    out: str
    parts: Annotated[int, msgspec.Meta(ge=1)]
    max_mb: Annotated[float, msgspec.Meta(gt=0)]
    seconds: Annotated[float, msgspec.Meta(gt=0)]

    def checked(self) -> tuple[Path, Bounds]:
        folder = Path(self.out)
        if not folder.is_absolute():
            raise RecordingError(f"{folder} says nothing to another process.", "give the whole path.")
        return folder, Bounds(self.parts, self.max_mb, self.seconds)


class TapedTransport:
    """Tells the tape what the gateway says.

    Args:
        transport: to the gateway.
        tape: told of each message as it is taken.
    """

    def __init__(self, transport: StationTransport, tape: Recorder) -> None:
        self._transport, self._tape = transport, tape
        self.send, self.close = transport.send, transport.close

    def receive(self) -> bytes | None:
        """Return the gateway's next message, or None where there is none."""
        data = self._transport.receive()
        if data is not None:
            self._tape.heard(data)
        return data


def recording_commands(
    recorder: Recorder, post: Callable[[Order], None], grant: Callable[[], wire.Grant | None]
) -> Callable[[Command], None]:
    """Return what takes the command ``record`` in the control thread, where the folder is made.

    Its arguments: ``out``, a new folder, with the bounds ``parts``, ``max_mb`` and ``seconds``; or ``stop``: true.

    Args:
        recorder: the station's tape.
        post: takes orders for the signal thread.
        grant: returns the session in force.
    """

    def record(command: Command) -> None:
        if command.arguments == {"stop": True}:
            post(Order(command, act=stop))
            return
        try:
            out, bounds = msgspec.convert(command.arguments, _Record).checked()
            writer = recorder.open(out, bounds)
        except msgspec.ValidationError as error:
            command.answer(False, f"record: {error}.", remedy="see edge record --help.")
        except RecordingError as error:
            command.answer(False, error.problem, remedy=error.remedy)
        else:
            post(Order(command, act=lambda stands: begin(writer, stands)))

    def begin(writer: RecordingWriter, stands: bool) -> str:
        if not stands:
            writer.end("it was begun too late")
            return ""
        recorder.begin(writer, grant())
        return f"Recording to {writer.folder}."

    def stop(stands: bool) -> str:
        if stands:
            recorder.stop()
        return "The recording ends."

    return record
