"""A process between station and gateway that delays, repeats, reorders, invents and loses messages.

Usage: python relay.py FRONT BACK CONTROL  (ipc endpoints; CONTROL takes one JSON command a request)

Each station gets a connection of its own to the gateway, so that routing ids stay one to one.
"""

from __future__ import annotations

import heapq
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq

from edge.commands.processes import Line
from edge.realtime import prioritise

RELAY = "relayed"
"""The name of the socket at which the station finds the relay."""

PRIORITY = 25
Command = dict[str, Any]


class Relay:
    """The test's handle on the process.

    Args:
        line: whose station and gateway it joins.
    """

    def __init__(self, line: Line) -> None:
        self._line = line

    def start(self) -> None:
        """Start the process."""
        line = self._line
        ends = (line.endpoint(RELAY), line.endpoint("gateway"), line.endpoint("relay-control"))
        line.start("relay", *ends, program=(str(Path(__file__)),))
        self.set()

    def set(self, **command: Any) -> int:
        """Do this with messages from now on; nothing of it: pass them on.  Return how many pairs the
        last command has swapped.

        Args:
            cut: True loses nothing and delivers nothing until the next command, as TCP does.
            delay_ms: that the station's verdicts wait.
            repeat: how often each of the station's messages comes.
            reorder: each announcement comes behind the verdict that follows it.
            invent: numbers to add to a verdict's part, for one more PASS that nobody counted.
        """
        with zmq.Context() as context, context.socket(zmq.REQ) as control:
            control.setsockopt(zmq.LINGER, 0)
            control.setsockopt(zmq.RCVTIMEO, 10_000)
            control.connect(self._line.endpoint("relay-control"))
            control.send_json(command)
            return int(control.recv())


@dataclass
class Passing:
    """Messages on their way to the gateway.

    Attributes:
        command: what is to be done with them.
        swapped: pairs that changed places.
    """

    command: Command = field(default_factory=dict)
    swapped: int = 0
    _due: list[tuple[float, int, bytes, bytes]] = field(default_factory=list)
    _made: int = 0
    _kept: dict[bytes, bytes] = field(default_factory=dict)

    def take(self, station: bytes, data: bytes, now: float) -> None:
        """Take one of a station's messages."""
        command, message = self.command, json.loads(data)
        if command.get("reorder") and message["kind"] == "announce":
            self._kept[station] = data
            return
        delay_s = command.get("delay_ms", 0) / 1000 if message["kind"] == "verdict" else 0.0
        for _ in range(command.get("repeat", 1)):
            self._put(station, data, now + delay_s)
        if command.get("invent") and message["kind"] == "verdict":
            other = {"part": message["part"] + command["invent"], "outcome": "PASS", "cause": "clean"}
            self._put(station, json.dumps({**message, **other}).encode(), now)
        if message["kind"] == "verdict" and (kept := self._kept.pop(station, None)) is not None:
            self._put(station, kept, now)
            self.swapped += 1

    def due(self, now: float) -> list[tuple[bytes, bytes]]:
        """Return (station, message) of what is to be passed on by now."""
        due = []
        while self._due and self._due[0][0] <= now:
            _, _, station, data = heapq.heappop(self._due)
            due.append((station, data))
        return due

    def _put(self, station: bytes, data: bytes, at: float) -> None:
        self._made += 1
        heapq.heappush(self._due, (at, self._made, station, data))


def relay(front_at: str, back_at: str, control_at: str) -> None:
    """Run until the process is ended."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    front, control = context.socket(zmq.ROUTER), context.socket(zmq.REP)
    front.bind(front_at)
    control.bind(control_at)
    backs: dict[bytes, zmq.Socket[bytes]] = {}
    poller = zmq.Poller()
    poller.register(control, zmq.POLLIN)
    poller.register(front, zmq.POLLIN)
    passing = Passing()
    while True:
        ready = dict(poller.poll(1))
        if control in ready:
            passing.command = json.loads(control.recv())
            control.send(str(passing.swapped).encode())
            passing.swapped = 0
        if passing.command.get("cut"):
            control.poll(20)
            continue
        while front.poll(0):
            station, data = front.recv_multipart()
            if station not in backs:
                backs[station] = context.socket(zmq.DEALER)
                backs[station].set(zmq.IMMEDIATE, 1)  # nothing queues up for a gateway that is not there
                backs[station].connect(back_at)
                poller.register(backs[station], zmq.POLLIN)
            passing.take(station, data, time.monotonic())
        for station, data in passing.due(time.monotonic()):
            with suppress(zmq.Again):
                backs[station].send(data, zmq.NOBLOCK)
        for station, back in backs.items():
            while back.poll(0):
                front.send_multipart([station, back.recv()])


if __name__ == "__main__":
    prioritise(PRIORITY)
    relay(*sys.argv[1:])
