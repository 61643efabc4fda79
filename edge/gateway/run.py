"""From `gateway.toml` to a running gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import zmq

from edge import __version__
from edge.clock import now_ns
from edge.config import GatewayConfig
from edge.core.register import Register
from edge.gateway.actuation import Actuation, PermitActuation, PulseActuation
from edge.gateway.desk import Desk
from edge.gateway.geometry import gate_geometry, geometry
from edge.gateway.link import PlcLink
from edge.gateway.operations import Operations
from edge.gateway.plc.base import PlcDriver
from edge.gateway.plc.modbus import ModbusDriver, resolved
from edge.gateway.recorder import Recorder, silent
from edge.gateway.server import Gateway
from edge.gateway.sessions import new_session
from edge.gateway.transport import Transport, router
from edge.record.commands import control, last_state
from edge.record.journal import Journal


def make_driver(config: GatewayConfig) -> PlcDriver:
    """Return the driver that `plc.driver` names; it connects when it is first used.

    Raises:
        ConfigError: `plc.host` is a name without an address.
    """
    return ModbusDriver(resolved(config.plc))


def assemble(
    config: GatewayConfig,
    driver: PlcDriver,
    transport: Transport,
    desk: Desk | None = None,
    clock: Callable[[], int] = now_ns,
    changed: Callable[[dict[str, Any]], None] = lambda _: None,
    register: Register | None = None,
    recorder: Recorder | None = None,
) -> Gateway:
    """Build a gateway around a PLC and a network.

    Args:
        config: from `gateway.toml`.
        driver, transport: to the PLC and to the stations.
        desk: where commands wait, if somebody may command.
        clock: monotonic nanoseconds.
        changed: told of mode and alarms.
        register: who may pass; by default a new one.
        recorder: tells the journal; by default there is none.

    Raises:
        BudgetError: the line cannot hold.
    """
    register = register or Register(geometry(config), new_session())
    link = PlcLink(config)
    actuation: Actuation = (
        PermitActuation(driver, register)
        if config.plc.signal == "permit"
        else PulseActuation(gate_geometry(config), register, link)
    )
    recorder = recorder or silent(clock)
    operations = Operations(config, changed, recorder.event)
    return Gateway(config, driver, link, actuation, register, operations, transport, recorder, clock, desk=desk)


@contextmanager
def gateway(config: GatewayConfig) -> Iterator[Gateway]:
    """Build a gateway that serves its control socket and keeps its journal; leaving it closes them.

    Raises:
        PortBusy, ConfigError, BudgetError: it cannot be.
    """
    register = Register(geometry(config), new_session())
    if config.plc.signal == "pulse":
        gate_geometry(config)  # what cannot hold is refused before anything is opened
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context[zmq.Socket[bytes]]())
        transport = stack.enter_context(router(context, config))
        journal = _journal(config, stack)
        recorder = silent(now_ns) if journal is None else Recorder(journal.put, journal.status, now_ns)
        desk = Desk()
        log = stack.enter_context(control(config.control, desk.post, None if journal is None else journal.put))
        changed = log.state if log is not None else lambda _: None
        result = assemble(
            config, make_driver(config), transport, desk, changed=changed, register=register, recorder=recorder
        )
        stack.callback(result.close)
        if config.control.record and (state := last_state(Path(config.control.record))) is not None:
            result.operations.restore(state)
        told = config.model_dump(mode="json")
        recorder.event("started", f"Gateway {config.name}, lane {config.lane}.", version=__version__, config=told)
        yield result


def _journal(config: GatewayConfig, stack: ExitStack) -> Journal | None:
    if config.journal.folder is None:
        return None
    journal = Journal(config.journal, "gateway", config.name, config.lane)
    stack.callback(journal.close)
    return journal
