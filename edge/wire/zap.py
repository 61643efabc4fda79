"""Who is let in at a CURVE socket: the answers to libzmq's authentication requests (https://rfc.zeromq.org/spec/27/).

There is no thread.  The loop that owns the socket answers, a bounded number of requests at a time; until it does, a
handshake waits.  So no answer, for whatever reason, means that nobody is let in.
"""

from __future__ import annotations

import zmq
from zmq.utils import z85

from edge.errors import PortBusy
from edge.wire.allow import Binding, ServerKeys

ENDPOINT = "inproc://zeromq.zap.01"
DOMAIN = b"edge"
MOST_AT_ONCE = 16
_REQUEST_FRAMES = 7
"""Version, request id, domain, address, routing id, mechanism, and CURVE's one credential: the client's public key."""


class Doorkeeper:
    """Answers the requests of one context.

    Args:
        context: whose CURVE sockets ask here; it must exist before they are bound.
        keys: says who may speak.
        lane: of the gateway; keys of other lanes are not let in.

    Attributes:
        turned_away: keys that were not let in, with the reason and the address, for whoever tells people.

    Raises:
        PortBusy: the context has a doorkeeper.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: ServerKeys, lane: int) -> None:
        self._keys, self._lane = keys, lane
        self.turned_away: list[str] = []
        self._welcome: set[str] = set()  # once; a key that was revoked may be allowed again, a list mended
        self._socket = context.socket(zmq.REP)
        self._socket.linger = 0
        try:
            self._socket.bind(ENDPOINT)
        except zmq.ZMQError as error:
            self._socket.close()
            raise PortBusy(f"{ENDPOINT} is in use ({error}).", "give each gateway a context of its own.") from None

    def answer(self) -> None:
        """Answer at most ``MOST_AT_ONCE`` requests; the rest wait for the next call."""
        for _ in range(MOST_AT_ONCE):
            try:
                request = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._socket.send_multipart(self._reply(request))

    def close(self) -> None:
        """Let nobody in any more."""
        self._socket.close()

    def _reply(self, request: list[bytes]) -> list[bytes]:
        version, number = [*request, b"", b""][:2]
        if len(request) != _REQUEST_FRAMES or request[2] != DOMAIN or request[5] != b"CURVE":
            return [version, number, b"400", b"not a CURVE request of this domain", b"", b""]
        key, address = z85.encode(request[6]).decode("ascii"), request[3].decode("ascii", "replace")
        binding = self._keys.allowed.rights.of_key(key)
        if binding is None or binding.lane != self._lane:
            self.turned_away.append(f"key {key} at {address} {self._reason(binding)}")
            if key in self._welcome or not self._keys.allowed.rights.bindings:  # libzmq never comes again after a 400
                return [version, number, b"300", b"not now", b"", b""]
            return [version, number, b"400", b"the key is not allowed", b"", b""]
        self._welcome.add(key)
        return [version, number, b"200", b"", key.encode(), b""]

    def _reason(self, binding: Binding | None) -> str:
        if binding is None:
            return "is not on the allow-list"
        return f"is for lane {binding.lane} (station {binding.station!r}), and this is lane {self._lane}"
