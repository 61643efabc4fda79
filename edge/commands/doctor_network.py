"""What `edge doctor` finds of endpoints: which are free, who holds the others, who answers; and of the PLC."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from contextlib import closing
from pathlib import Path

from edge.commands.doctor_disk import writable
from edge.commands.finding import Finding
from edge.config import GatewayConfig
from edge.errors import EdgeError
from edge.gateway.plc.modbus import ModbusDriver, resolved
from edge.gateway.plc.signals import FAIL_SAFE, PlcStatus

SOCKET_PATH_BYTES = 107
"""Longest path of a Unix socket on Linux (``sockaddr_un.sun_path`` less its final zero)."""

RUNTIME = Path("/run/edge")
"""Whose folders are the units' RuntimeDirectory=; a socket elsewhere needs one that is there."""

ANSWER_S = 1.0
SCANS = 5
"""Between two looks at the PLC's heartbeat, which goes up by one with each scan of its program."""

_CREDENTIALS = struct.Struct("=iII")  # process, user, group: unix(7)
_LISTENS = "0A"  # in /proc/net/tcp


def bound(name: str, endpoint: str) -> Finding:
    """Whether an endpoint that the process will bind is free."""
    free = Finding(name, "ok", f"{endpoint} is free")
    if endpoint.startswith("ipc://"):
        file = Path(endpoint.removeprefix("ipc://"))
        if len(os.fsencode(file)) > SOCKET_PATH_BYTES:
            return Finding(name, "fail", f"{file} is longer than {SOCKET_PATH_BYTES} bytes", "choose a shorter path")
        if file.is_relative_to(RUNTIME) and not file.parent.exists():
            return Finding(name, "ok", f"{file.parent} is made by systemd when the service starts")
        allowed = writable(name, file.parent)
        if allowed.status != "ok":
            return allowed
        return _busy(name, endpoint) if refusal(endpoint) is None else free
    host, port = address(endpoint)
    try:
        with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("" if host == "*" else host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _busy(name, endpoint)
        return Finding(name, "fail", f"{endpoint} cannot be bound ({error})", "choose an address of this machine")
    return free


def _busy(name: str, endpoint: str) -> Finding:
    holder = holder_of(endpoint)
    by = f" by {holder}" if holder else ""
    return Finding(name, "warn", f"{endpoint} is in use{by}", "if its owner is not the process meant, choose another")


def answers(name: str, endpoint: str, remedy: str) -> Finding:
    """Whether somebody listens at an endpoint that the process will connect to."""
    refused = refusal(endpoint)
    if refused is None:
        return Finding(name, "ok", f"{endpoint} answers")
    return Finding(name, "warn", f"nobody answers at {endpoint} ({refused})", remedy)


def refusal(endpoint: str) -> str | None:
    """Connect and hang up.  Return why that failed, or None."""
    try:
        _connected(endpoint).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _connected(endpoint: str) -> socket.socket:
    if not endpoint.startswith("ipc://"):
        return socket.create_connection(address(endpoint), ANSWER_S)
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(ANSWER_S)
        probe.connect(endpoint.removeprefix("ipc://"))
    except OSError:
        probe.close()
        raise
    return probe


def address(endpoint: str) -> tuple[str, int]:
    """Return host and port of a ``tcp://`` endpoint."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return host.strip("[]"), int(port)


def holder_of(endpoint: str) -> str:
    """Return the process that listens at ``endpoint``, as "edge (process 123)"; "" where this user cannot tell."""
    if endpoint.startswith("ipc://"):
        try:
            with closing(_connected(endpoint)) as probe:
                told = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return ""
        return _process(_CREDENTIALS.unpack(told)[0])
    sockets = {f"socket:[{inode}]" for inode in _listening(address(endpoint)[1])}
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) in sockets:
                return _process(int(link.parts[2]))
        except OSError:
            continue  # another user's, or it has ended
    return ""


def _listening(port: int) -> list[str]:
    """Return the inodes of TCP sockets that listen on ``port``; proc(5), /proc/net/tcp."""
    found = []
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue  # without IPv6
        for fields in map(str.split, lines):
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                found.append(fields[9])
    return found


def _process(number: int) -> str:
    try:
        name = Path(f"/proc/{number}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return f"process {number}"
    return f"{name} (process {number})"


def plc(name: str, config: GatewayConfig) -> Finding:
    """Whether the PLC speaks Modbus, its program runs, and its fail-safe is the gateway's.  Nothing is written."""
    driver = None
    try:
        driver = ModbusDriver(resolved(config.plc))
        first = driver.read()
        time.sleep(SCANS * config.plc_timing.scan_ms / 1000)
        return judge_plc(name, config, first, driver.read())
    except EdgeError as error:
        return Finding(name, "warn", error.problem, error.remedy)
    finally:
        if driver is not None:
            driver.close()


def judge_plc(name: str, config: GatewayConfig, first: PlcStatus, second: PlcStatus) -> Finding:
    """Judge two looks at the PLC's status, some scans apart."""
    where = f"{config.plc.host}:{config.plc.port}"
    if first.heartbeat == second.heartbeat:
        detail = f"{where} answers, and its heartbeat stands at {second.heartbeat}: the program does not run"
        return Finding(name, "fail", detail, "put the PLC into RUN; see docs/signal.md")
    if second.fail_safe != FAIL_SAFE[config.fail_safe]:
        detail = f"{where} has fail-safe {second.fail_safe}, and {config.fail_safe} is configured"
        return Finding(name, "fail", detail, "make fail_safe of gateway.toml and the PLC's agree; see docs/signal.md")
    return Finding(name, "ok", f"{where} answers, its program runs, fail-safe {config.fail_safe}")
