"""A gateway with one protection against strangers taken out, for tests.  Usage: open_doors.py NAME gateway CONFIG"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


def curve() -> None:
    """Keys are accepted, and never applied."""
    from edge.gateway.transport import Router
    from edge.wire import sockets

    make = Router.__init__

    def bare(self: Any, context: Any, endpoint: str, telemetry: str, _keys: Any, lane: int, *modes: int) -> None:
        make(self, context, endpoint, telemetry, None, lane, *modes)

    sockets._refuse_open = lambda *_: None
    Router.__init__ = bare  # type: ignore[method-assign, assignment]


def allow_list() -> None:
    """Any key is as good as a listed one."""
    from edge.wire.allow import Binding, Rights
    from edge.wire.zap import Doorkeeper

    reply = Doorkeeper._reply

    def welcome(self: Any, request: list[bytes]) -> list[bytes]:
        answer = reply(self, request)
        return answer if answer[2] == b"200" else [*answer[:2], b"200", b"", b"anybody", b""]

    Doorkeeper._reply = welcome  # type: ignore[method-assign]
    Rights.token = lambda *_: bytes(16)  # type: ignore[method-assign]
    Rights.of_token = lambda *_: Binding("", "station-1", 0)  # type: ignore[method-assign]


def lane() -> None:
    """A key opens every lane's door."""
    from edge.gateway.transport import Router
    from edge.wire.allow import Binding, Rights

    of_key = Rights.of_key

    def anywhere(self: Rights, key: str) -> Binding | None:
        bound = of_key(self, key)
        return bound and Binding(bound.key, bound.station, 0)

    Rights.of_key = anywhere  # type: ignore[method-assign]
    Router.admits = lambda *_: True  # type: ignore[method-assign]


def binding() -> None:
    """A key on the list may speak for any station."""
    from edge.gateway.transport import Router

    Router.admits = lambda *_: True  # type: ignore[method-assign]


def one_station() -> None:
    """A second live station may take the lane."""
    from edge.gateway.stations import Stations

    refusal = Stations.refusal

    def polite(self: Stations, identity: bytes, hello: Any, now_ns: int) -> Any:
        holder, self.identity = self.identity, None
        try:
            return refusal(self, identity, hello, now_ns)
        finally:
            self.identity = holder

    Stations.refusal = polite  # type: ignore[method-assign]


def holder() -> None:
    """Whoever knows the session may speak under it."""
    from edge.gateway.stations import Stations

    Stations.is_current = lambda *_: True  # type: ignore[method-assign]


def revocation() -> None:
    """The allow-list is read at the start, and never again."""
    from edge.wire.allow import AllowFile

    AllowFile._renew = lambda self: None  # type: ignore[method-assign]  # noqa: ARG005


def door() -> None:
    """Any number of connections is taken."""
    from edge.gateway import door as doors

    doors.MOST = 1 << 30


if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()
    from edge.cli import main

    main()
