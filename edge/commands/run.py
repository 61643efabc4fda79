"""A station or a gateway as a process: signals, priority, and an end that nothing can hang."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Event, Timer
from typing import TYPE_CHECKING

from edge import config, flight
from edge.notify import Notifier
from edge.watchdog import Feeder, name_the_culprit

if TYPE_CHECKING:
    from edge.station.build import Deciding

EXIT_HUNG = 70
END_S = 15.0
"""For which the watchdog is put off at the end: longer than the farewell, which ends the process itself."""

FAREWELL_S = 10.0  # 3 s for drivers that hang, 2 s for an inspection: then parts are closed, and the rest is the disks'


def stop_on_signals() -> Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


@contextmanager
def ends_within(seconds: float) -> Iterator[Callable[[], None]]:
    """Yield what to call where the end begins: unless this is left within ``seconds``, the process ends as hung."""
    timer = Timer(seconds, os._exit, (EXIT_HUNG,))
    timer.daemon = True
    try:
        yield timer.start
    finally:
        timer.cancel()


@contextmanager
def _flight_recorded(settings: config.FlightConfig, process: str) -> Iterator[None]:
    """Record the process's last events; a trace that was asked for is written before the end."""
    flight.start(settings.events, Path(settings.folder) if settings.folder else None, settings.keep, process)
    try:
        yield
    finally:
        flight.stop()


def run_station(
    path: Path,
    outcomes: Path | None = None,
    parts: int | None = None,
    decide: Callable[[config.StationConfig], AbstractContextManager[Deciding]] | None = None,
) -> None:
    """Run the station of ``path`` until a signal; end the process itself where an inspection or a driver hangs.

    Args:
        path: `station.toml`.
        outcomes: file that gets one JSON line a part.
        parts: after which to stop.
        decide: what looks at frames, instead of the configured model and engine.

    Raises:
        EdgeError: something is missing or refused, with its remedy.
    """
    from edge.clock import now_ns
    from edge.realtime import leave_no_core, prioritise, settle
    from edge.station.build import deciding, station
    from edge.station.hang import DeviceHung, EngineHung
    from edge.station.progress import patience_ns

    stop = stop_on_signals()
    notifier = Notifier.from_environment()
    settings = config.load(path, config.StationConfig)
    name_the_culprit()
    leave_no_core()
    prioritise(settings.realtime_priority)
    try:
        with (
            ends_within(FAREWELL_S) as leave,
            _flight_recorded(settings.flight, f"station {settings.name}"),
            station(settings, outcomes, decide or deciding) as running,
        ):
            settle()

            def text() -> str:
                return ": ".join(filter(None, running.state(now_ns())))

            feeder = Feeder(notifier, patience_ns(settings.limits), running.marks, text)
            notifier.ready(text())
            try:
                running.run(stop, parts, feeder.turn)
            except EngineHung as error:
                logging.getLogger(__name__).critical("%s The process ends, to be started again.", error)
                raise
            finally:
                notifier.stopping(END_S)
                leave()
    except (EngineHung, DeviceHung):  # the other threads have stopped, and what they had posted has its outcome
        os._exit(EXIT_HUNG)  # the hung thread cannot be joined


def run_gateway(path: Path) -> None:
    """Run the gateway of ``path`` until a signal.

    Raises:
        EdgeError: something is missing or refused, with its remedy.
    """
    from edge.gateway.progress import PATIENCE_NS
    from edge.gateway.reporting import in_words
    from edge.gateway.run import gateway
    from edge.realtime import leave_no_core, prioritise, settle

    stop = stop_on_signals()
    notifier = Notifier.from_environment()
    settings = config.load(path, config.GatewayConfig)
    name_the_culprit()
    leave_no_core()
    prioritise(settings.realtime_priority)
    with _flight_recorded(settings.flight, f"gateway {settings.name}"), gateway(settings) as running:
        settle()
        feeder = Feeder(notifier, PATIENCE_NS, running.marks, lambda: in_words(running.status()))
        notifier.ready(in_words(running.status()))
        try:
            running.run(stop, feeder.turn)
        finally:
            notifier.stopping(END_S)
