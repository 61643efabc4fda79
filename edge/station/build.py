"""From configuration to a running station.  Everything is allocated, warmed and gated here, before the first part."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import zmq

from edge import __version__
from edge.capture.base import Camera, TriggerSource, frame_shape
from edge.capture.events import CAMERA, TRIGGER
from edge.capture.factory import open_camera, open_trigger
from edge.capture.loop import CaptureThread, TriggerThread
from edge.capture.thread import DeviceThread, stop_all
from edge.clock import NS_PER_MS
from edge.config import RecipeConfig, RecipeFile, StationConfig, parse
from edge.core import budget
from edge.core.ledger import PartLedger
from edge.core.match import Matcher
from edge.core.pool import FramePool, Purpose
from edge.core.rules import Rule
from edge.engine.base import Engine
from edge.engine.inspector import Inspector, check_rules
from edge.engine.select import Choice, build, choose
from edge.errors import ConfigError
from edge.model.gate import golden_gate
from edge.model.package import Manifest, ModelPackage, load_package
from edge.record.commands import CommandLog, control, last_state
from edge.record.journal import Journal
from edge.record.outcomes import OutcomeWriter
from edge.record.recording import Decider
from edge.station.hang import DeviceHung
from edge.station.inspection import InspectThread
from edge.station.interfaces import StationEvent
from edge.station.loop import Station
from edge.station.mailbox import Mailbox
from edge.station.orders import receiver
from edge.station.reporting import Identity, Reporter
from edge.station.tape import Recorder, TapedTransport, recording_commands
from edge.wire.keys import client_keys
from edge.wire.publisher import Publisher
from edge.wire.sockets import Dealer, waiter

_log = logging.getLogger(__name__)

CAPTURE_RESERVE = 2
"""Slots that inspection can never hold: one that the camera fills, one that waits for its trigger."""

EVIDENCE_SLOTS = 4
"""Slots beyond `limits.pool_slots`, for frames that are written to disk after their verdict."""


def rules(recipe: RecipeConfig, manifest: Manifest) -> tuple[Rule, ...]:
    """Return the recipe's rules for the core.

    Raises:
        ConfigError: the model of ``manifest`` cannot serve one of them.
    """
    made = tuple(Rule(r.name, r.classes, r.min_score, r.min_area_px, r.min_longer_side_px) for r in recipe.rules)
    check_rules(manifest, made)
    return made


@dataclass(frozen=True)
class Deciding:
    """What decides: a package on an engine that passed the golden gate."""

    package: ModelPackage
    engine: Engine
    choice: Choice
    inspector: Inspector

    def rules(self, recipe: RecipeConfig) -> tuple[Rule, ...]:
        """Return the rules of ``recipe``, as ``rules``."""
        return rules(recipe, self.package.manifest)


@contextmanager
def deciding(config: StationConfig) -> Iterator[Deciding]:
    """Load, build, warm and gate what decides; the very instance that passed the gate is yielded.

    Raises:
        ModelError, GoldenMismatch, EngineError, ConfigError: it must not decide.
    """
    if config.model.engine == "null" and config.gateway.endpoint is not None:
        raise ConfigError(
            "model.engine = 'null' looks at nothing, and a gateway is configured.",
            "name a real engine, or 'auto'; the null engine is for benchmarks without a gateway.",
        )
    package = load_package(Path(config.model.package))
    rules(config.recipe, package.manifest)  # refused before anything slow
    choice = choose(package, config.model.engine, config.model.precision)
    with build(package, choice, config.model.threads, config.model.null_ms) as engine:
        if choice.engine != "null":
            golden_gate(package, engine)
        camera = config.camera
        shape = frame_shape(camera.width, camera.height, camera.color)
        inspector = Inspector(package, engine, shape, camera.color)
        _log.info("%s on %s %s: %s", package.identity, choice.engine, choice.precision, choice.reason)
        yield Deciding(package, engine, choice, inspector)


def compute_budget(config: StationConfig) -> budget.Budget:
    """Return the station's budget."""
    return budget.compute(config.line, config.actuator, config.plc_timing, config.limits.ceiling_ms)


Decide = Callable[[StationConfig], AbstractContextManager[Deciding]]
"""Loads what decides for a configuration, ready to inspect, and gives it back."""


def frame_pool(config: StationConfig) -> FramePool:
    """Return the station's frame pool.  Evidence has slots of its own: a stalled disk costs the line none."""
    slots, camera = config.limits.pool_slots, config.camera
    quotas = {
        Purpose.CAPTURE: slots,
        Purpose.INSPECTION: slots - CAPTURE_RESERVE,
        Purpose.EVIDENCE: EVIDENCE_SLOTS,
    }
    return FramePool(slots + EVIDENCE_SLOTS, frame_shape(camera.width, camera.height, camera.color), quotas)


def part_ledger(config: StationConfig, budgeted: budget.Budget) -> PartLedger:
    """Return the station's part ledger."""
    limits = config.limits
    return PartLedger(
        limits.open_parts,
        int(limits.ceiling_ms * NS_PER_MS),
        int(limits.frame_timeout_ms * NS_PER_MS),
        int(config.line.counts_per_mm * config.line.part_length_max_mm),
        budgeted.station_commit,
        budgeted.match_counts,
    )


def frame_matcher(config: StationConfig) -> Matcher:
    """Return what finds the part of each frame."""
    camera = config.camera
    return Matcher(int(camera.window_early_ms * NS_PER_MS), int(camera.window_late_ms * NS_PER_MS), camera.sync_pairs)


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


def with_kept_recipe(config: StationConfig) -> StationConfig:
    """Return ``config`` with the recipe that was last set by command: a restart does not change what is judged by.

    Raises:
        ConfigError: the record holds a recipe that cannot be used.
    """
    record = config.control.record
    kept = last_state(Path(record)) if record is not None else None
    if kept is None or "recipe" not in kept:
        return config
    recipe = parse({"recipe": kept["recipe"]}, RecipeFile, str(record)).recipe
    if recipe != config.recipe:
        _log.warning("Recipe %s, set by command, is kept; the file has %s.", recipe.name, config.recipe.name)
    return config.model_copy(update={"recipe": recipe})


@contextmanager
def station(config: StationConfig, outcomes: Path | None = None, decide: Decide = deciding) -> Iterator[Station]:
    """Build a station whose threads run; leaving it closes every part, thread, lease and socket.

    Raises:
        EdgeError: something is missing or refused, with its remedy.
        DeviceHung: as it was left, a driver did not return; all else is closed.
    """
    config = with_kept_recipe(config)
    with decide(config) as decides, assembled(config, decides, devices, outcomes) as result:
        yield result


@contextmanager
def assembled(
    config: StationConfig, decides: Deciding, open_devices: Devices, outcomes: Path | None = None
) -> Iterator[Station]:
    """Build a station, as ``station``, around what decides and what delivers frames and triggers.

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
        choice = decides.choice
        identity = Identity(decides.package.identity, choice.engine, choice.precision)
        decider = Decider(identity.model, identity.engine, identity.precision, __version__)
        recorder = Recorder(config, decider, pool)
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
        reporter = Reporter(config, identity, ledger, pool, publisher, budgeted.deadline_ms, writer, context, journal)
        stack.callback(reporter.close)
        inspect = InspectThread(decides.inspector, pool, mailbox.post)
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
            decides.rules,
            wait,
            reopen_camera=capture.reopen if camera.triggered_by == "hardware" else None,
            tape=recorder,
        )
        stack.callback(result.finish)
        stack.callback(recorder.end, "the station stopped")  # whatever is still open has no verdict to compare
        stack.callback(inspect.stop)  # before the end, so that what it has begun still counts and gives its slot back
        log: CommandLog | None = None

        def keep(recipe: RecipeConfig) -> bool:
            recorder.recipe = recipe
            if log is None or config.control.record is None:
                return False
            log.state({"recipe": recipe.model_dump(mode="json")})
            return True

        put = None if journal is None else journal.put
        record = recording_commands(recorder, mailbox.post, lambda: publisher.grant if publisher is not None else None)
        orders = receiver(mailbox.post, keep, record, recorder.details)
        log = stack.enter_context(control(config.control, orders, put))
        threads = (capture, triggers)
        stack.callback(_stop, threads, opened)
        for thread in threads:
            thread.start()
        yield result


def _stop(threads: Sequence[DeviceThread], opened: ExitStack) -> None:
    """Stop the threads that stand at the devices.

    Raises:
        DeviceHung: one does not end; what ``opened`` would close stays open.
    """
    if hung := stop_all(threads):
        error = DeviceHung(hung, opened.pop_all())
        _log.critical("%s The process must end.", error)
        raise error
