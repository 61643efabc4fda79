"""Station and gateway on two hosts, as far as the kernel's network goes: a namespace and a cable that can be cut."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import TracebackType

from edge.wire.allow import Binding, write_allowed
from edge.wire.keys import generate, write_pair

HERE, THERE = "10.203.0.1", "10.203.0.2"
PORT = 5555


class Network:
    """A network namespace for the station, joined to the gateway's by a pair of interfaces.

    Args:
        folder: of the line.

    Attributes:
        inside: the command that runs another one inside the namespace.

    Use it as a context manager: leaving it removes both.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name, self._cable = f"edge-{os.getpid()}", f"edge{os.getpid() % 1_000_000}"
        self.inside = ("ip", "netns", "exec", self._name)

    def __enter__(self) -> Network:
        _ip("netns", "add", self._name)
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "gateway0", "netns", self._name)
        _ip("address", "add", f"{HERE}/30", "dev", self._cable)
        _ip("link", "set", self._cable, "up")
        _ip("-n", self._name, "address", "add", f"{THERE}/30", "dev", "gateway0")
        _ip("-n", self._name, "link", "set", "gateway0", "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _ip("netns", "delete", self._name)

    def configure(self) -> None:
        """Let station and gateway meet by TCP, each with its key."""
        folder = self._folder
        gateway, station = generate(), generate()
        write_pair(gateway, "gateway", folder)
        write_pair(station, "station", folder)
        write_allowed(folder / "allow.toml", [Binding(station.public, "station-1", 0)])
        endpoint = f"tcp://{HERE}:{PORT}"
        self._edit("station", endpoint, f'key = "{folder}/station.key"\nserver_key = "{folder}/gateway.pub"\n')
        self._edit("gateway", endpoint, f'key = "{folder}/gateway.key"\nallow = "{folder}/allow.toml"\n')

    def cut(self, seconds: float) -> None:
        """Take the cable away for a while."""
        _ip("link", "set", self._cable, "down")
        try:
            time.sleep(seconds)
        finally:
            _ip("link", "set", self._cable, "up")

    def _edit(self, process: str, endpoint: str, security: str) -> None:
        path = self._folder / f"{process}.toml"
        text = path.read_text(encoding="utf-8").replace(f'"ipc://{self._folder}/gateway"', f'"{endpoint}"')
        path.write_text(f"{text}\n[security]\n{security}", encoding="utf-8")


def _ip(*command: str) -> None:
    subprocess.run(("ip", *command), check=True, timeout=10)
