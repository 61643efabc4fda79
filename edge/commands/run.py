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

if TYPE_CHECKING:
    from edge.station.build import Deciding

EXIT_HUNG = 70
FAREWELL_S = 10.0  # for all threads to stop, and for what is known to be recorded; joining the hung one takes 4 s


def stop_on_signals() -> Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def end_within(seconds: float) -> None:
    """End the process as hung after ``seconds``, unless it has ended by then."""
    timer = Timer(seconds, os._exit, (EXIT_HUNG,))
    timer.daemon = True
    timer.start()


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
    """Run the station of ``path`` until a signal; end the process itself where an inspection hangs.

    Args:
        path: `station.toml`.
        outcomes: file that gets one JSON line a part.
        parts: after which to stop.
        decide: what looks at frames, instead of the configured model and engine.

    Raises:
        EdgeError: something is missing or refused, with its remedy.
    """
    from edge.realtime import prioritise, settle
    from edge.station.build import deciding, station
    from edge.station.hang import EngineHung

    stop = stop_on_signals()
    settings = config.load(path, config.StationConfig)
    prioritise(settings.realtime_priority)
    try:
        with (
            _flight_recorded(settings.flight, f"station {settings.name}"),
            station(settings, outcomes, decide or deciding) as running,
        ):
            settle()
            try:
                running.run(stop, parts)
            except EngineHung as error:
                logging.getLogger(__name__).critical("%s The process ends, to be started again.", error)
                end_within(FAREWELL_S)  # whatever else hangs now
                raise
    except EngineHung:  # the other threads have stopped, and what they had posted has its outcome
        os._exit(EXIT_HUNG)  # the hung thread cannot be joined


def run_gateway(path: Path) -> None:
    """Run the gateway of ``path`` until a signal.

    Raises:
        EdgeError: something is missing or refused, with its remedy.
    """
    from edge.gateway.run import gateway
    from edge.realtime import prioritise, settle

    stop = stop_on_signals()
    settings = config.load(path, config.GatewayConfig)
    prioritise(settings.realtime_priority)
    with _flight_recorded(settings.flight, f"gateway {settings.name}"), gateway(settings) as running:
        settle()
        running.run(stop)
