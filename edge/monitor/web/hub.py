"""Who looks on: one bounded mailbox a viewer, filled from one task.  A slow viewer misses the old, and holds nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from edge.clock import NS_PER_S, now_ns
from edge.core.outcome import Outcome

VIEWERS = 64
"""Viewers at once; each holds a connection."""

LOOK_S = 0.1
"""How often the hub looks for news: a stalled station shows this much after it counts as silent."""

STATE_NS = NS_PER_S
"""A state is sent at least this often, and at once when something changes."""

PARTS_PER_S = 20
LIVE_PER_S = 5
_PARTS_KEPT = 40

Event = bytes


def event(name: str, values: Any) -> Event:
    """Return a server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(values) + b"\n\n"


class Viewer:
    """The mailbox of one viewer: the latest state, the latest live picture, and some parts; newest wins."""

    def __init__(self) -> None:
        self._latest: dict[str, Event] = {}
        self._parts: deque[Event] = deque(maxlen=_PARTS_KEPT)
        self._news = asyncio.Event()

    def put(self, name: str, told: Event) -> None:
        """Put an event in, in place of an older one of its name; parts wait side by side."""
        if name == "part":
            self._parts.append(told)
        else:
            self._latest[name] = told
        self._news.set()

    async def take(self) -> Event:
        """Wait for news and return all of it; b"" once there will be none."""
        await self._news.wait()
        return self.collect()

    def collect(self) -> Event:
        """Return all that waits, and empty the mailbox."""
        told = b"".join((*self._latest.values(), *self._parts))
        self._latest.clear()
        self._parts.clear()
        self._news.clear()
        return told

    def end(self) -> None:
        """Let the viewer go."""
        self._latest.clear()
        self._parts.clear()
        self._news.set()


class Hub:
    """Tells all viewers what is new.  Lives in the event loop.

    Args:
        snapshot: gives the whole state.
        signature: gives what must be shown at once when it changes.
        drain: gives the parts since the last call.
        live: gives what is told of the latest live picture.

    Attributes:
        turns: how often it has looked.
    """

    def __init__(
        self,
        snapshot: Callable[[], dict[str, Any]],
        signature: Callable[[], tuple[object, ...]],
        drain: Callable[[], list[dict[str, Any]]],
        live: Callable[[], dict[str, Any] | None],
    ) -> None:
        self._snapshot, self._signature, self._drain, self._live = snapshot, signature, drain, live
        self._viewers: set[Viewer] = set()
        self._shown: tuple[object, ...] = ()
        self._state_ns = self._live_ns = 0
        self._live_n = 0
        self._closing = False
        self.turns = 0
        self._allowed = float(PARTS_PER_S)
        self._allowed_ns = 0

    @property
    def viewers(self) -> int:
        """How many look on."""
        return len(self._viewers)

    def join(self) -> Viewer | None:
        """Return a new viewer's mailbox, with the state in it; None where there are too many."""
        if self._closing or len(self._viewers) >= VIEWERS:
            return None
        viewer = Viewer()
        viewer.put("state", event("state", self._snapshot()))
        self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        self._viewers.discard(viewer)

    async def run(self) -> None:
        """Look for news until ``close``, then let all viewers go."""
        while not self._closing:
            self.look(now_ns())
            await asyncio.sleep(LOOK_S)
        for viewer in self._viewers:
            viewer.end()

    def close(self) -> None:
        """Let all viewers go within ``LOOK_S``.  May be called from any thread."""
        self._closing = True

    def look(self, now: int) -> None:
        """Tell the viewers what is new at ``now``, monotonic ns."""
        self.turns += 1
        fresh, shown = self._drain(), self._signature()
        if not self._viewers:
            return
        if shown != self._shown or now - self._state_ns >= STATE_NS:
            self._shown, self._state_ns = shown, now
            self._tell("state", self._snapshot())
        for part in self._chosen(fresh, now):
            self._tell("part", part)
        live = self._live()
        if live is not None and live["n"] != self._live_n and now - self._live_ns >= NS_PER_S // LIVE_PER_S:
            self._live_n, self._live_ns = live["n"], now
            self._tell("live", live)

    def _chosen(self, fresh: list[dict[str, Any]], now: int) -> list[dict[str, Any]]:
        """Return as many parts as may be sent now, in their order: what did not pass comes before what did."""
        gained = (now - self._allowed_ns) / NS_PER_S * PARTS_PER_S
        self._allowed, self._allowed_ns = min(float(PARTS_PER_S), self._allowed + gained), now
        most = int(self._allowed)
        numbered = list(enumerate(fresh))
        urgent = [item for item in numbered if item[1]["outcome"] != Outcome.PASS.value]
        passes = [item for item in numbered if item[1]["outcome"] == Outcome.PASS.value]
        kept = urgent[-most:] if most else []
        room = most - len(kept)
        chosen = sorted([*kept, *(passes[-room:] if room else [])], key=lambda item: item[0])
        self._allowed -= len(chosen)
        return [part for _, part in chosen]

    def _tell(self, name: str, values: Any) -> None:
        told = event(name, values)
        for viewer in self._viewers:
            viewer.put(name, told)
