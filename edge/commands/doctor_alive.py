"""`edge doctor --alive`: does the process of a configuration answer now?  For health checks of containers.

Station and gateway publish their counters once a second from the very loop that carries verdicts and permits, so that a
process which merely exists does not pass.  A station that is in FAULT does: starting it anew would not mend its camera.

A health check comes twice a minute, so it is also a program of its own that imports a quarter of what `edge` does:
`python -m edge.commands.doctor_alive`, for the files that EDGE_CONFIG names.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import zmq

from edge.commands.doctor_read import read
from edge.commands.finding import Finding
from edge.config import MonitorConfig
from edge.errors import EdgeError

WAIT_MS = 3000
"""Three times what lies between two publications."""


def alive(path: Path) -> Finding:
    """Wait for a sign of life of the process that runs with the configuration at ``path``."""
    try:
        config = read(path)
    except EdgeError as error:
        return Finding(str(path), "fail", error.problem, error.remedy)
    if isinstance(config, MonitorConfig):
        return _served(str(path), metrics_address(config).replace("/metrics", "/healthz"))
    return _published(f"{path}: {config.name}", config.telemetry.endpoint)


def metrics_address(config: MonitorConfig) -> str:
    """Return where a monitor on this host serves its metrics."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    scheme = "http" if config.certificate is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.port}/metrics"


def _published(name: str, endpoint: str) -> Finding:
    with zmq.Context[zmq.Socket[bytes]]() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SUBSCRIBE, b"")
        socket.connect(endpoint)
        if socket.poll(WAIT_MS):
            return Finding(name, "ok", f"publishes at {endpoint}")
    return Finding(name, "fail", f"nothing came from {endpoint} for {WAIT_MS} ms", "see its log; start it anew")


def _served(name: str, address: str) -> Finding:
    try:
        fetch(address, WAIT_MS / 1000)
    except OSError as error:
        return Finding(name, "fail", f"{address} does not answer ({error})", "see its log; start it anew")
    return Finding(name, "ok", f"{address} answers")


def fetch(address: str, timeout_s: float) -> bytes:
    """Return what a monitor answers.  Its certificate need not be known here, and no proxy of the plant's is asked.

    Raises:
        OSError: it does not answer, with an error (`urllib.error.URLError`), or not as a web server does.
    """
    import http.client
    import ssl
    import urllib.request

    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    direct = urllib.request.ProxyHandler({})  # http_proxy= gets into containers from the user's ~/.docker/config.json
    opener = urllib.request.build_opener(direct, urllib.request.HTTPSHandler(context=unchecked))
    try:
        with opener.open(address, timeout=timeout_s) as answer:
            data: bytes = answer.read()
    except http.client.HTTPException as error:
        raise OSError(f"{type(error).__name__}: {error}") from None
    return data


def main() -> int:
    """Ask the processes of the files in EDGE_CONFIG; return 1 where one does not answer, or none is named."""
    found = [alive(Path(path)) for path in os.environ.get("EDGE_CONFIG", "").split(os.pathsep) if path]
    for finding in found:
        print(f"{finding.name}: {finding.detail}")
    return 0 if found and all(finding.status == "ok" for finding in found) else 1


if __name__ == "__main__":
    sys.exit(main())
