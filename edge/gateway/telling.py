"""What the gateway tells the PLC: the control block, with every heartbeat and whenever a session changes."""

from __future__ import annotations

from contextlib import suppress

from edge.config import GatewayConfig
from edge.core.register import Register
from edge.errors import PlcError
from edge.gateway.actuation import Actuation
from edge.gateway.operations import Operations
from edge.gateway.plc.base import PlcDriver
from edge.gateway.plc.signals import Control
from edge.gateway.sessions import Sessions
from edge.gateway.stations import Stations


class Telling:
    """Puts the control block together and writes it.

    Attributes:
        beat: the present heartbeat.
    """

    def __init__(
        self,
        config: GatewayConfig,
        driver: PlcDriver,
        register: Register,
        operations: Operations,
        stations: Stations,
        sessions: Sessions,
        actuation: Actuation,
    ) -> None:
        self._driver, self._fail_safe = driver, config.fail_safe
        self._register, self._operations, self._actuation = register, operations, actuation
        self._stations, self._sessions = stations, sessions
        self.beat = 0

    def write(self) -> None:
        """Write the block.  Raises ``PlcError``."""
        self._driver.write_control(self._block())

    def rest(self, tell: bool = True) -> None:
        """Switch the gateway's own output off at once; where that is not or cannot be told, its watchdog does it."""
        was_on, self._actuation.output = self._actuation.output, False
        if was_on and tell:
            with suppress(PlcError):
                self.write()

    def _block(self) -> Control:
        session, stations = self._register.session, self._stations
        admits = self._sessions.echoed and (stations.ready or self._register.bypass)
        return Control(
            heartbeat=self.beat,
            ready=self._operations.feeds and admits,
            stop=self._operations.alarms.stops,
            gateway_session=session.gateway,
            station_session=session.station,
            fence=session.fence,
            recipe=stations.recipe_number,
            epoch=session.epoch,
            fail_safe=self._fail_safe,
            output=self._actuation.output,
            plc_session=session.plc,
        )
