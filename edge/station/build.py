"""From configuration to a running station.  Everything is allocated, warmed and gated here, before the first part."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import cv2
import zmq

from edge import __version__
from edge.capture.base import Camera, TriggerSource, frame_shape
from edge.capture.events import CAMERA, TRIGGER
from edge.capture.factory import open_camera, open_trigger
from edge.capture.loop import CaptureThread, TriggerThread
from edge.capture.thread import DeviceThread, stop_all
from edge.clock import NS_PER_MS
from edge.config import CameraConfig, ModelConfig, RecipeConfig, StationConfig
from edge.core import budget
from edge.core.part import Identity
from edge.core.rules import Rule, rules_of
from edge.engine.base import Engine
from edge.engine.inspector import Inspector, check_rules
from edge.engine.select import Choice, build, choose, import_libraries
from edge.errors import ConfigError
from edge.model.gate import golden_gate
from edge.model.package import Manifest, ModelPackage, load_package
from edge.record.commands import control
from edge.record.journal import Journal
from edge.record.outcomes import OutcomeWriter
from edge.record.recording import Decider
from edge.station.activation import Activation, Loaded
from edge.station.bystanders import Bystanders
from edge.station.challenge_commands import challenge_command, challenges
from edge.station.evidence import opened as open_evidence
from edge.station.guarded import GuardedChallenges, GuardedEvidence, GuardedWatch
from edge.station.hang import DeviceHung
from edge.station.inspection import Inspects, InspectThread
from edge.station.interfaces import StationEvent
from edge.station.kept import Keeper, with_kept
from edge.station.loop import Station
from edge.station.mailbox import Mailbox
from edge.station.no_challenges import NO_CHALLENGES
from edge.station.orders import FORGOTTEN, receiver
from edge.station.pairs import Pair
from edge.station.reporting import Reporter
from edge.station.sizing import compute_budget, frame_matcher, frame_pool, part_ledger
from edge.station.tape import Recorder, TapedTransport, recording_commands
from edge.station.watch import Watch
from edge.wire.keys import client_keys
from edge.wire.publisher import Publisher
from edge.wire.sockets import Dealer, waiter

_log = logging.getLogger(__name__)

RULES_KEPT = 4
"""Recipes whose rules a model has at hand: the control thread makes them, the signal thread puts them in force."""


def rules(recipe: RecipeConfig, manifest: Manifest, camera: CameraConfig) -> tuple[Rule, ...]:
    """Return the recipe's rules for the core.

    Raises:
        ConfigError: the model of ``manifest`` or the frames of ``camera`` cannot serve one of them.
    """
    made = rules_of(recipe, camera.width, camera.height)
    check_rules(manifest, made)
    return made


@dataclass(frozen=True)
class Deciding:
    """What decides: a package on an engine that passed the golden gate."""

    package: ModelPackage
    engine: Engine
    choice: Choice
    inspector: Inspector
    camera: CameraConfig

    @property
    def identity(self) -> Identity:
        """What stands in the records of the parts that it decides."""
        return Identity(self.package.identity, self.choice.engine, self.choice.precision)

    def rules(self, recipe: RecipeConfig) -> tuple[Rule, ...]:
        """Return the rules of ``recipe``, as ``rules``."""
        return rules(recipe, self.package.manifest, self.camera)


@contextmanager
def deciding(config: StationConfig) -> Iterator[Deciding]:
    """Load, build, warm and gate what decides; the very instance that passed the gate is yielded.

    From then on OpenCV works in the threads that call it: workers of its own would have the priority of whoever called
    first, the inspection, and shrink live pictures with it.  A resize of 2448 x 2048 px is no slower alone.

    Raises:
        ModelError, GoldenMismatch, EngineError, ConfigError: it must not decide.
    """
    if config.model.engine == "null" and config.gateway.endpoint is not None:
        raise ConfigError(
            "model.engine = 'null' looks at nothing, and a gateway is configured.",
            "name a real engine, or 'auto'; the null engine is for benchmarks without a gateway.",
        )
    cv2.setNumThreads(1)
    package = load_package(Path(config.model.package))
    rules(config.recipe, package.manifest, config.camera)  # refused before anything slow
    choice = choose(package, config.model.engine, config.model.precision)
    with build(package, choice, config.model.threads, config.model.null_ms) as engine:
        if choice.engine != "null":
            golden_gate(package, engine)
        camera = config.camera
        shape = frame_shape(camera.width, camera.height, camera.color)
        near = 0.0 if config.evidence.folder is None else config.evidence.near
        inspector = Inspector(package, engine, shape, camera.color, near)
        _log.info("%s on %s %s: %s", package.identity, choice.engine, choice.precision, choice.reason)
        yield Deciding(package, engine, choice, inspector, camera)


Decide = Callable[[StationConfig], AbstractContextManager[Deciding]]
"""Loads what decides for a configuration, ready to inspect, and gives it back."""


Devices = Callable[[StationConfig], AbstractContextManager[tuple[Camera, TriggerSource]]]
"""Opens the camera and the trigger source of a configuration, and closes them."""


@contextmanager
def devices(config: StationConfig) -> Iterator[tuple[Camera, TriggerSource]]:
    """Open the camera and the trigger source that ``config`` names.

    Raises:
        CameraError, ConfigError: one cannot be reached, or the two do not go together.
    """
    with (
        closing(open_camera(config.camera)) as camera,
        closing(open_trigger(config.trigger, camera, config.line, config.lane)) as source,
    ):
        yield camera, source


@contextmanager
def station(config: StationConfig, outcomes: Path | None = None, decide: Decide = deciding) -> Iterator[Station]:
    """Build a station whose threads run; leaving it closes every part, thread, lease and socket.

    Raises:
        EdgeError: something is missing or refused, with its remedy.
        DeviceHung, EngineHung: as it was left, a driver or an engine did not return; all else is closed.
    """
    kept = with_kept(config)
    with decide(kept) as decides, assembled(kept, decides, devices, outcomes, decide, config.model) as result:
        yield result


@contextmanager
def assembled(
    config: StationConfig,
    decides: Deciding,
    open_devices: Devices,
    outcomes: Path | None = None,
    decide: Decide = deciding,
    own_model: ModelConfig | None = None,
) -> Iterator[Station]:
    """Build a station, as ``station``, around what decides and what delivers frames and triggers.

    Args:
        config: in force at the start.
        decides: at first.
        open_devices: opens camera and trigger source.
        outcomes: file that gets one JSON line a part.
        decide: loads another model, on command.
        own_model: of the configuration's file, where a command has put another in force.

    Raises:
        EdgeError: something is missing or refused, with its remedy.
    """
    limits = config.limits
    budgeted = budget.held(compute_budget(config), config.name)
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context[zmq.Socket[bytes]]())
        mailbox: Mailbox[StationEvent] = Mailbox()
        stack.callback(mailbox.close)
        pool = frame_pool(config)
        frame_timeout_ns = int(limits.frame_timeout_ms * NS_PER_MS)
        ledger, matcher = part_ledger(config, budgeted), frame_matcher(config)
        identity = decides.identity
        recorder = Recorder(config, _decider(identity), pool)
        stack.callback(recorder.close)
        publisher, wait = None, waiter(mailbox.fd)
        if config.gateway.endpoint is not None:
            dealer = Dealer(context, config.gateway.endpoint, client_keys(config.security))
            publisher = Publisher(config, TapedTransport(dealer, recorder), secrets.token_hex(8))
            wait = waiter(mailbox.fd, dealer.socket)
            stack.callback(publisher.close)
        writer = stack.enter_context(closing(OutcomeWriter(outcomes))) if outcomes is not None else None
        journal = None
        if config.journal.folder is not None:
            journal = stack.enter_context(closing(Journal(config.journal, "station", config.name, config.lane)))
        kept = stack.enter_context(open_evidence(config, pool, context, lambda number: number in reporter.pieces))
        evidence = None if kept is None else GuardedEvidence(kept)
        watch = watched = None
        if config.health.folder is not None:
            watch = stack.enter_context(closing(Watch(config, pool)))
            watched = GuardedWatch(watch)
        told = {} if watched is None else {"health": watched.gauges}
        reporter = Reporter(
            config, identity, ledger, pool, publisher, budgeted.deadline_ms, writer, context, journal, evidence, **told
        )
        stack.callback(reporter.close)
        made = stack.enter_context(challenges(config, reporter.pieces, reporter.note))
        challenge = None if made is None else GuardedChallenges(made)
        if challenge is not None:
            reporter.challenge = challenge.status
        turns = threading.Lock()  # one inspection at a time, whatever the model

        def inspect_thread(inspector: Inspects) -> InspectThread:
            return InspectThread(inspector, pool, mailbox.post, turns)

        inspect = inspect_thread(decides.inspector)
        inspect.start()
        stack.callback(inspect.stop)
        opened = stack.enter_context(ExitStack())
        camera, source = opened.enter_context(open_devices(config))
        capture = CaptureThread(camera, pool, mailbox.post)
        triggers = TriggerThread(source, mailbox.post, frame_timeout_ns)
        alive = {CAMERA: lambda: capture.heard_ns, TRIGGER: lambda: triggers.heard_ns}
        result = Station(
            config,
            ledger,
            matcher,
            pool,
            mailbox,
            inspect,
            publisher,
            reporter,
            alive,
            lru_cache(RULES_KEPT)(decides.rules),
            wait,
            reopen_camera=capture.reopen if camera.triggered_by == "hardware" else None,
            around=Bystanders(recorder, evidence, watched, NO_CHALLENGES if challenge is None else challenge),
            identity=identity,
            end=lambda: inspect.end(decides.engine.close),
            steps={CAMERA: lambda: capture.steps, TRIGGER: lambda: triggers.steps},
        )
        stack.callback(result.finish)
        stack.callback(recorder.end, "the station stopped")  # whatever is still open has no verdict to compare
        stack.callback(inspect.stop)  # before the end, so that what it has begun still counts and gives its slot back
        if config.control.path is not None:
            import_libraries()
        keeper = Keeper(config.model if own_model is None else own_model)

        def changed(pair: Pair) -> str:
            recorder.model_changed(pair.recipe, _decider(pair.model.identity), pair.model.settings)
            return "" if keeper.keep(pair) else FORGOTTEN

        def keep(recipe: RecipeConfig) -> bool:
            recorder.recipe = recipe
            return keeper.keep(result.changes.current)

        def made_ahead(recipe: RecipeConfig) -> tuple[Rule, ...]:
            return result.changes.current.model.rules(recipe)

        load = partial(_loaded, decide)
        activation = Activation(config, load, inspect_thread, mailbox.post, result.changes, changed)
        stack.callback(activation.close)
        record = recording_commands(recorder, mailbox.post, lambda: publisher.grant if publisher is not None else None)
        others = {"activate": activation.activate, "rollback": activation.rollback, "record": record}
        others["challenge"] = challenge_command(challenge, lambda: result.changes.current, mailbox.post)
        if watch is not None and watched is not None:
            watch.start()
            others["health"] = watched.receiver(mailbox.post)
        orders = receiver(
            mailbox.post,
            keep,
            others,
            lambda: {
                **activation.details(),
                **recorder.details(),
                **({} if watch is None else watch.details()),
                **({} if made is None else made.details()),
            },
            made_ahead,
        )
        put = None if journal is None else journal.put
        keeper.log = stack.enter_context(control(config.control, orders, put))
        threads = (capture, triggers)
        stack.callback(_stop, threads, opened)
        for thread in threads:
            thread.start()
        yield result


@contextmanager
def _loaded(decide: Decide, config: StationConfig) -> Iterator[Loaded]:
    with decide(config) as decides:
        yield Loaded(decides.identity, decides.inspector, lru_cache(RULES_KEPT)(decides.rules))


def _decider(identity: Identity) -> Decider:
    return Decider(identity.model, identity.engine, identity.precision, __version__)


def _stop(threads: Sequence[DeviceThread], opened: ExitStack) -> None:
    """Stop the threads that stand at the devices.

    Raises:
        DeviceHung: one does not end; what ``opened`` would close stays open.
    """
    if hung := stop_all(threads):
        error = DeviceHung(hung, opened.pop_all())
        _log.critical("%s The process must end.", error)
        raise error
