"""The thread that looks at pictures and the machine, and keeps what health is compared with.  It decides on no part.

It runs behind all that decide.  The signal thread hands over a sample at a time, and never waits for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue

from edge.clock import NS_PER_S, now_ns
from edge.config import StationConfig
from edge.core.drift import Learnt
from edge.core.lasting import Lasting
from edge.core.picture_health import Look, PictureHealth, Reference, usable
from edge.core.picture_measures import Sample, Sampler
from edge.record.health import Carried, HealthFolder
from edge.station import machine
from edge.station.priority import step_back

_log = logging.getLogger(__name__)

MACHINE_NS = 5 * NS_PER_S
"""Between two looks at the machine."""

CALM_LOOKS = 12
"""Looks at the machine in a row, a minute, after which an alarm ends."""

CLOSE_S = 2.0

NOT_KEPT = "What was learnt cannot be written: {}."
FAILED = "Looking failed: {}."
NO_REFERENCE = (
    "There is no camera reference of such frames, so {} cannot be judged: take one while good parts run "
    "(edge control PATH health reference)."
)
NO_SHIFT = (
    "Nothing in the camera's reference keeps its place, so a shift cannot be judged: leave a strip of the mount in the "
    "frame and take another, or set health.shifted.reaction to off."
)

PICTURE_ALARMS = ("camera_dark", "camera_bright", "camera_blurred", "camera_frozen", "camera_shifted")

Job = Callable[[], None]


class Looker:
    """Takes samples and judges them, in a thread of its own.

    What the signal thread asks of it is done in order.

    Args:
        config: of the station; ``health.folder`` is set.
        shape: of the frames.
        folder: where reference and baselines are kept.
        read: tells of the machine.
        clock: gives monotonic nanoseconds.

    Attributes:
        sampler: takes samples of frames, into ``sample``, while the thread is not ``busy``.
        look: what pictures and machine show; replaced as a whole.
        busy: ``sample`` is being looked at.
    """

    def __init__(
        self,
        config: StationConfig,
        shape: tuple[int, ...],
        folder: HealthFolder,
        read: Callable[[], machine.Machine] = machine.read,
        clock: Callable[[], int] = now_ns,
    ) -> None:
        self._config, self._folder, self._read_machine, self._clock = config.health, folder, read, clock
        self.sampler = Sampler(shape)
        self.sample: Sample = self.sampler.empty()
        width, height = shape[1], shape[0]
        self._pictures = PictureHealth(self._config, width, height, self.sampler.step, self._kept(width, height))
        self._machine = Look()
        self._machine_ns = 0
        self._lasting = Lasting(CALM_LOOKS)
        self._unwritten: dict[str, Job] = {}
        self._trouble: dict[str, str] = {}  # what this thread itself cannot do, by what it tried
        self.busy = False
        self._asked = self._written_of = 0  # writings: by the signal thread, and by this one
        self._clears = self._cleared = self._shown_cleared = 0  # the same of `clear`, and of that what ``look`` knows
        self._show()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    @property
    def taking(self) -> int:
        """Pictures that a reference which is being taken still needs."""
        return self._pictures.taking

    @property
    def taken(self) -> str:
        """When the reference was taken, wall time, or "" without one."""
        return self._folder.taken if self._pictures.reference is not None else ""

    def start(self) -> None:
        """Start the thread, once."""
        self._thread.start()

    def close(self) -> None:
        """Do what was asked, and end.  A disk that stands still is not waited for."""
        self._jobs.put(None)
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def looked_at(self) -> None:
        """Have ``sample``, which was filled, looked at.  Never waits."""
        self.busy = True
        self._jobs.put(self._look)

    @property
    def standing(self) -> dict[str, str]:
        """What is wrong, by the name of its alarm, in words; of pictures what was seen since the last ``clear``."""
        is_current = self._shown_cleared == self._clears  # asked before ``look``, which is replaced before it
        standing = self.look.standing
        return standing if is_current else {n: t for n, t in standing.items() if n not in PICTURE_ALARMS}

    @property
    def keeping(self) -> bool:
        """True while something waits for the disk."""
        return self._asked != self._written_of

    def clear(self) -> None:
        """Forget the pictures seen: as far as ``standing`` goes at once, also while the disk stands still."""
        self._clears += 1
        self._jobs.put(self._clear)

    def take_reference(self) -> None:
        """Take a reference from the next pictures."""
        self._jobs.put(self._pictures.take_reference)

    def keep(self, baselines: Mapping[str, Learnt]) -> None:
        """Write baselines, which nobody changes any more."""

        self._put("baselines", lambda: self._folder.keep_baselines(baselines))

    def carry(self, carried: Carried) -> None:
        """Write what the next process goes on with; nobody changes it any more."""
        self._put("standing alarms", lambda: self._folder.carry(carried))

    def _put(self, what: str, write: Job) -> None:
        def keep() -> None:
            try:
                self._written(what, write)
            finally:
                self._written_of += 1

        self._asked += 1
        self._jobs.put(keep)

    def _kept(self, width: int, height: int) -> Reference | None:
        reference = self._folder.reference()
        if reference is None:
            return None
        if not usable(reference, width, height):
            _log.warning("The camera reference is of %d x %d px frames.", reference.width, reference.height)
            return None
        return reference

    def _run(self) -> None:
        step_back()
        while True:
            try:
                job = self._jobs.get(timeout=MACHINE_NS / NS_PER_S)
                if job is None:
                    return
                self._do(job)
            except Empty:
                pass
            self._do(self._look_at_machine)

    def _do(self, job: Job) -> None:
        """Do a job; whatever it raises costs this job, never the thread."""
        name = getattr(job, "__name__", "job")
        try:
            job()
            self._trouble.pop(name, None)
        except Exception as error:  # noqa: BLE001 - shown as an alarm
            if name not in self._trouble:
                _log.exception("The health thread failed at %s.", name)
            self._trouble[name] = FAILED.format(error)
        self._show()

    def _show(self) -> None:
        shown, told = self._pictures.look, self._machine
        standing = {**shown.standing, **told.standing}
        if text := next(iter(self._trouble.values()), "") or self._unjudged():
            standing["health"] = text
        has_reference = float(self._pictures.reference is not None)
        self.look = Look({**shown.gauges, **told.gauges, "reference": has_reference}, standing)
        self._shown_cleared = self._cleared

    def _unjudged(self) -> str:
        """Return which checks that are on cannot be made, in words, or ""."""
        reference, config = self._pictures.reference, self._config
        reactions = {"blur": config.blurred.reaction, "shift": config.shifted.reaction}
        wanted = [name for name, reaction in reactions.items() if reaction != "off"]
        if reference is None and wanted:
            return NO_REFERENCE.format(" and ".join(wanted))
        if reference is not None and "shift" in wanted and not (reference.down or reference.across):
            return NO_SHIFT
        return ""

    def _clear(self) -> None:
        self._pictures.clear()
        self._cleared += 1

    def _look(self) -> None:
        try:
            made = self._pictures.add(self.sample)
        finally:
            self.busy = False
        if made is None:
            return
        _log.warning("The camera's reference is taken: grey level %.0f, sharpness %.3g.", made.level, made.sharpness)
        self._written("reference", lambda: self._folder.keep_reference(made))

    def _written(self, what: str, write: Job) -> None:
        """Write, or try again with each look at the machine."""
        try:
            write()
        except OSError as error:
            if what not in self._unwritten:
                _log.error("The %s cannot be written: %s.", what, error)
            self._unwritten[what] = write
            self._trouble[what] = NOT_KEPT.format(error.strerror)
        else:
            self._unwritten.pop(what, None)
            self._trouble.pop(what, None)

    def _look_at_machine(self) -> None:
        now = self._clock()
        if now < self._machine_ns:
            return
        self._machine_ns = now + MACHINE_NS
        for what, write in list(self._unwritten.items()):
            self._written(what, write)
        told = self._read_machine()
        gauges: dict[str, float] = {}
        standing: dict[str, str] = {}
        if told.temperature_c is not None:
            gauges["temperature_c"] = told.temperature_c
            if told.temperature_c >= (bound := self._config.temperature.max_c):
                standing["temperature_high"] = f"{told.temperature_c:.0f} degrees C; the bound is {bound:g}."
        if told.clock_mhz is not None:
            gauges["clock_mhz"] = told.clock_mhz
        if told.clock_share is not None:
            gauges["clock_share"] = told.clock_share
            if told.clock_share < self._config.clock.min_share:
                standing["clock_slow"] = f"A core may run at {100 * told.clock_share:.0f} % of its clock."
        self._machine = Look(gauges, self._lasting.take(standing))
