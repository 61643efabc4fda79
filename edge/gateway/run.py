"""From `gateway.toml` to a running gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import zmq

from edge.config import GatewayConfig
from edge.core.register import Register
from edge.gateway.plc.base import PlcDriver
from edge.gateway.plc.modbus import ModbusDriver
from edge.gateway.server import Gateway, geometry, new_session


def make_driver(config: GatewayConfig) -> PlcDriver:
    """Return the driver that `plc.driver` names; it connects when it is first used."""
    return ModbusDriver(config.plc)


@contextmanager
def gateway(config: GatewayConfig) -> Iterator[Gateway]:
    """Build a gateway; leaving it closes its sockets.

    Raises:
        PortBusy: an endpoint is taken.
    """
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context[zmq.Socket[bytes]]())
        register = Register(geometry(config), new_session())
        result = Gateway(config, make_driver(config), register, context)
        stack.callback(result.close)
        yield result
