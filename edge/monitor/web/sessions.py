"""Sessions of people who logged in.  Kept in memory: they end with the monitor.  Pure: the time is an argument."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from edge.clock import NS_PER_S

IDLE_NS = 2 * 3600 * NS_PER_S
LONGEST_NS = 12 * 3600 * NS_PER_S
"""A shift and its overtime."""

MOST = 256
"""Sessions at once; of more, the one longest unused ends."""


@dataclass
class Session:
    """Somebody is logged in.

    Attributes:
        user: who.
        token: the user's when the session began; another one now means another password.
        csrf: what every request that changes something must carry in a header.
        began_ns, used_ns: monotonic.
    """

    user: str
    token: str
    csrf: str
    began_ns: int
    used_ns: int


class Sessions:
    """All sessions, by a hash of what the browser's cookie holds."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def begin(self, user: str, token: str, now_ns: int) -> tuple[str, Session]:
        """Return a new session and the secret of its cookie."""
        secret = secrets.token_urlsafe(32)
        session = Session(user, token, secrets.token_urlsafe(32), now_ns, now_ns)
        self._sessions[_key(secret)] = session
        while len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return secret, session

    def find(self, secret: str, now_ns: int) -> Session | None:
        """Return the session of a cookie, None where there is none or its time is over."""
        key = _key(secret)
        session = self._sessions.get(key)
        if session is None:
            return None
        if now_ns - session.used_ns > IDLE_NS or now_ns - session.began_ns > LONGEST_NS:
            del self._sessions[key]
            return None
        session.used_ns = now_ns
        self._sessions.move_to_end(key)
        return session

    def end(self, secret: str) -> None:
        """End the session of a cookie, if there is one."""
        self._sessions.pop(_key(secret), None)


def carries(session: Session, csrf: str) -> bool:
    """Say whether a request carries the session's token."""
    return hmac.compare_digest(session.csrf.encode(), csrf.encode())


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
