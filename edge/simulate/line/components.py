"""Which classes the simulated processes are built from: the product's own.  Sabotage puts others in their places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge.core.ledger import PartLedger
from edge.core.match import Matcher
from edge.core.part import Finding, Verdict
from edge.core.register import Register
from edge.core.rules import Rule, decide
from edge.gateway.actuation import PermitActuation
from edge.gateway.link import PlcLink
from edge.gateway.server import Gateway
from edge.simulate.plc import PlcProgram
from edge.station.loop import Station
from edge.wire.publisher import Publisher


@dataclass(frozen=True)
class Components:
    """One class for each part that carries a protection."""

    ledger: type[PartLedger] = PartLedger
    matcher: type[Matcher] = Matcher
    publisher: type[Publisher] = Publisher
    station: type[Station] = Station
    register: type[Register] = Register
    link: type[PlcLink] = PlcLink
    actuation: type[PermitActuation] = PermitActuation
    gateway: type[Gateway] = Gateway
    program: Callable[..., Any] = PlcProgram
    decide: Callable[[Sequence[Finding], Sequence[Rule], bool], Verdict] = decide
