"""Another model beside the one that decides: loaded, gated and warmed while the line runs, then put in force.

A thread of its own loads, behind all others; the new engine gets an inspect thread of its own, which is warm before it
decides anything.  Only then the signal thread hears of it, and has nothing to do but to change the pair in force.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from edge.clock import NS_PER_MS, now_ns
from edge.config import ModelConfig, ModelFile, RecipeConfig, RecipeFile, StationConfig, load, parse
from edge.core.part import Identity
from edge.core.rules import Rule
from edge.errors import ControlError, EdgeError, EngineError
from edge.model.package import MODEL_FILE
from edge.station.changes import Asked, Changes
from edge.station.hang import EngineHung
from edge.station.inspection import Inspects, InspectThread
from edge.station.memory import MB, check_room, resident
from edge.station.orders import Order
from edge.station.pairs import Model, Pair
from edge.station.priority import step_back
from edge.wire.control import Command

LOAD_S = 120.0
"""A model that takes longer is not put in force: who asked for it no longer expects it."""

END_S = 3.0
"""How long the end of the station waits for a model that is being loaded."""

RETURN_S = 0.2
"""How long a thread that has told its end may take to it."""

LOAD_SHARE = 0.7
"""The most of the shortest time between two parts that an inspection may take."""

TOO_LONG = f"It took longer than {LOAD_S:g} s."
RESTART = "restart the station: what hangs cannot be ended."
LOADING, ACTIVE, FAILED, ROLLED_BACK = "loading", "active", "failed", "rolled back"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """An engine instance that passed its golden gate."""

    identity: Identity
    inspector: Inspects
    rules: Callable[[RecipeConfig], tuple[Rule, ...]]


Load = Callable[[StationConfig], AbstractContextManager[Loaded]]
"""Loads and gates what decides for a configuration, and gives it back."""


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    package: str
    recipe: str | None = None
    engine: str = "auto"
    precision: str = "auto"


@dataclass
class _Job:
    """One model on its way.  ``given_up``: why it must not come into force any more, or ""."""

    command: Command
    settings: ModelConfig
    recipe: RecipeConfig | None
    state: str = LOADING
    text: str = ""
    remedy: str = ""
    given_up: str = ""

    @property
    def asked(self) -> Asked:
        return Asked(self.command.name, self.command.peer)


class Activation:
    """Carries out ``activate`` and ``rollback``, and says with ``details`` how far it is.

    Args:
        config: of the station.
        load: loads what shall decide.
        thread: makes an inspect thread.
        post: takes orders for the signal thread.
        changes: changes the pair in force.
        changed: told of each change, in the signal thread; returns what the answer should say besides.
        clock: gives monotonic nanoseconds.
    """

    def __init__(
        self,
        config: StationConfig,
        load: Load,
        thread: Callable[[Inspects], InspectThread],
        post: Callable[[Order], None],
        changes: Changes,
        changed: Callable[[Pair], str],
        clock: Callable[[], int] = now_ns,
    ) -> None:
        self._config, self._load, self._thread_for, self._post = config, load, thread, post
        self._changes, self._changed, self._clock = changes, changed, clock
        line = config.line
        period_ms = 1000 * line.pitch_min_mm / line.speed_max_mm_s
        self._most_ms = min(LOAD_SHARE * period_ms, config.limits.ceiling_ms)
        self._jobs = 0
        self._job: _Job | None = None
        self._thread: threading.Thread | None = None
        self._limit: threading.Timer | None = None
        self._instances: list[_Instance] = []

    # -- the control thread -----------------------------------------------------------------------------------------

    def activate(self, command: Command) -> None:
        """Begin to load a package: ``package``, and where given ``recipe``, a TOML file, ``engine`` and ``precision``.

        The answer says that it has begun; ``details`` tells what comes of it.
        """
        try:
            job = self._wanted(command)
            self._check_free()
        except msgspec.ValidationError as error:
            command.answer(False, f"activate: {error}.", remedy="see edge model activate --help.")
        except EdgeError as error:
            command.answer(False, error.problem, remedy=error.remedy)
        else:
            if not command.take():
                return
            self._jobs += 1
            self._job = job
            self._thread = threading.Thread(target=self._run, args=(job,), name="model", daemon=True)
            overdue = Order(command, act=lambda _: self._give_up(job))
            self._limit = threading.Timer(LOAD_S, self._post, (overdue,))
            self._limit.daemon = True
            self._limit.start()
            self._thread.start()
            text = f"{job.settings.package} is being loaded; the present model goes on deciding meanwhile."
            command.answer(True, text, **self.details())

    def rollback(self, command: Command) -> None:
        """Put the pair in force that was before the last activation.  A package that is being loaded is given up."""
        self._post(Order(command, act=lambda stands: self._roll_back(command) if stands else ""))

    def details(self) -> dict[str, Any]:
        """Return how far the last activation is, or how it ended, and what a rollback would lead to."""
        job, previous = self._job, self._changes.previous
        told = {"model": self._changes.current.model.identity.model}
        told["rollback"] = "none" if previous is None else previous.model.identity.model
        if job is None:
            return told
        state = {"number": self._jobs, "package": job.settings.package, "state": job.state}
        return {**told, "activation": {**state, "text": job.text, "remedy": job.remedy}}

    def _wanted(self, command: Command) -> _Job:
        request = msgspec.convert(command.arguments, _Request)
        for path in (request.package, request.recipe or "/"):
            if not Path(path).is_absolute():
                raise ControlError(f"{path} says nothing to another process.", "give the whole path.")
        section = self._config.model.model_dump(mode="json")
        section |= {"package": request.package, "engine": request.engine, "precision": request.precision}
        settings = parse({"model": section}, ModelFile, "activate").model
        recipe = None if request.recipe is None else load(Path(request.recipe), RecipeFile).recipe
        return _Job(command, settings, recipe)

    def _check_free(self) -> None:
        job = self._job
        if job is not None and job.state == LOADING:
            raise ControlError(
                f"{job.settings.package} is being loaded.", "wait for its end; see `edge control SOCKET status`."
            )
        if self._thread is not None:
            self._thread.join(RETURN_S)
            if self._thread.is_alive():
                raise ControlError("The loading that was given up before does not return.", RESTART)
        self._instances = [instance for instance in self._instances if not instance.given_back]

    # -- its own thread ---------------------------------------------------------------------------------------------

    def _run(self, job: _Job) -> None:
        instance = _Instance()
        self._instances.append(instance)
        try:
            before = resident()
            promote = step_back()
            try:
                pair = self._prepare(job, instance)
            finally:
                promote()  # after a failure too: a library keeps its threads, for whatever it runs next
            _log.info("%s is loaded: %d MB more are in use.", pair.model.identity.model, (resident() - before) // MB)
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs the activation and nothing else
            problem, remedy = _told(error)
            try:
                instance.close()
            finally:
                self._post(Order(job.command, act=lambda _: self._fail(job, problem, remedy)))
        else:
            self._post(Order(job.command, act=lambda _: self._put_in_force(job, pair)))
        finally:
            assert self._limit is not None  # started before this thread
            self._limit.cancel()

    def _prepare(self, job: _Job, instance: _Instance) -> Pair:
        settings = job.settings
        graph = Path(settings.package) / MODEL_FILE
        check_room(graph.stat().st_size if graph.is_file() else 0)
        recipe = job.recipe or self._changes.current.recipe
        config = self._config.model_copy(update={"model": settings, "recipe": recipe})
        loaded = instance.held.enter_context(self._load(config))
        instance.inspect = inspect = self._thread_for(loaded.inspector)
        inspect.start()
        least_ms = inspect.least_ns / NS_PER_MS
        if least_ms > self._most_ms:
            raise EngineError(
                f"{loaded.identity.model} computes {least_ms:.1f} ms a frame; the line leaves {self._most_ms:g} ms.",
                "choose a faster engine or precision, or a smaller network.",
            )
        model = Model(loaded.identity, settings, inspect, loaded.rules, instance.end)
        recipe = job.recipe or self._changes.current.recipe  # which may have changed meanwhile
        return Pair(model, recipe, loaded.rules(recipe))

    # -- the signal thread ------------------------------------------------------------------------------------------

    def _put_in_force(self, job: _Job, pair: Pair) -> str:
        if job.state != LOADING:  # it took too long, and that has been told
            pair.model.end()
            return job.text
        try:
            if job.given_up:
                raise ControlError(job.given_up, "activate it again.")
            present = self._changes.current.recipe
            if job.recipe is None and present != pair.recipe:  # it was changed in this very moment
                pair = replace(pair, recipe=present, rules=pair.model.rules(present))
            text = self._changes.model(pair, job.asked, self._clock())
        except EdgeError as error:
            pair.model.end()
            return self._fail(job, error.problem, error.remedy)
        job.text = f"{text}{self._changed(self._changes.current)}"
        job.state = ACTIVE
        return job.text

    def _give_up(self, job: _Job) -> str:
        return self._fail(job, TOO_LONG, RESTART)

    def _fail(self, job: _Job, problem: str, remedy: str) -> str:
        if job.state != LOADING:
            return job.text
        self._changes.failed(job.settings.package, problem, job.asked, self._clock())
        job.text, job.remedy = problem, remedy
        job.state = FAILED
        return problem

    def _roll_back(self, command: Command) -> str:
        job = self._job
        if job is not None and job.state == LOADING:
            job.given_up = "A rollback was commanded meanwhile."
            if self._changes.previous is None:
                return f"{job.settings.package} will not come into force."
        text = self._changes.roll_back(Asked(command.name, command.peer), self._clock())
        text = f"{text}{self._changed(self._changes.current)}"
        if job is not None and job.state == ACTIVE:
            job.text, job.state = text, ROLLED_BACK
        return text

    # -- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Give up what is being loaded, and give back what was.  What its threads have decided is posted.

        Raises:
            EngineHung: a thread does not return.
        """
        if self._job is not None:
            self._job.given_up = "The station stopped."
        if self._limit is not None:
            self._limit.cancel()
        if self._thread is not None:
            self._thread.join(END_S)
        hung = self._thread is not None and self._thread.is_alive()
        for instance in self._instances:
            hung = not instance.close() or hung
        if hung:
            raise EngineHung("A model that was activated, or its loading, does not return.")


class _Instance:
    """An engine beside the first one: what gives it back, and its inspect thread as soon as there is one."""

    def __init__(self) -> None:
        self.held = ExitStack()
        self.inspect: InspectThread | None = None
        self.given_back = False

    def end(self) -> None:
        """Give it back in its own thread, behind what that has still to inspect.  Never waits."""
        assert self.inspect is not None  # only what can decide is ended
        self.inspect.end(self._give_back)

    def close(self) -> bool:
        """Give it back now.  False where its thread hangs: an engine that is in use cannot be closed."""
        if self.inspect is not None and not self.inspect.stop():
            return False
        self._give_back()
        return True

    def _give_back(self) -> None:
        self.held.close()
        self.given_back = True


def _told(error: Exception) -> tuple[str, str]:
    """Return problem and remedy."""
    if isinstance(error, EdgeError):
        return error.problem, error.remedy
    _log.error("A model cannot be loaded.", exc_info=error)
    return f"It cannot be loaded ({type(error).__name__}: {error}).", "see the station's log; try edge model verify."
