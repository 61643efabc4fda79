"""A line whose processes may do only what their units allow."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from pathlib import Path

import pytest

from edge.commands.processes import MODELS, Line
from tests.deploy.sandboxed import CAP_SYS_NICE
from tests.support_line import RECIPE
from tests.support_tools import lack, need

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(120)]

PROGRAM = str(Path(__file__).with_name("sandboxed.py"))
PARTS = 40


def answer(line: Line, url: str, timeout_s: float) -> dict[str, object]:
    """Return what the monitor answers at a URL, as soon as it does."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1.0) as response:
                found: dict[str, object] = json.load(response)
                return found
        except OSError:
            line.check("monitor")
            assert time.monotonic() < end, f"nobody answers at {url}: {line.log('monitor')}"
            time.sleep(0.1)


def schedulers(pid: int) -> set[tuple[int, int]]:
    """Return policy and priority of each thread of a process."""
    threads = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
    return {(os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority) for thread in threads}


def test_a_line_works_within_what_its_units_allow(unused_tcp_port: int) -> None:
    if os.geteuid() != 0:
        lack("drops capabilities: needs root")
    need("systemd-analyze", "systemd")
    with Line(MODELS / "sim-strip", RECIPE) as line:
        line.start_plant("--parts", str(PARTS), "--seed", "11")
        files = ("--station", f"{line.folder}/station.toml", "--gateway", f"{line.folder}/gateway.toml")
        line.start("monitor", "monitor", *files, "--port", str(unused_tcp_port), program=(PROGRAM, "monitor"))
        healthy = answer(line, f"http://127.0.0.1:{unused_tcp_port}/healthz", 60.0)
        assert healthy["listening"]
        line.start_gateway(program=(PROGRAM, "gateway"))
        line.start_station(program=(PROGRAM, "station"))
        while not line.records("outcomes.jsonl"):  # by then every thread is there
            line.check("station")
            time.sleep(0.1)
        for name in ("gateway", "station"):
            found = re.search(r"CapEff:\t(\w+)", Path(f"/proc/{line.pid(name)}/status").read_text())
            assert found is not None
            assert int(found[1], 16) in (0, 1 << CAP_SYS_NICE)
            assert (os.SCHED_FIFO, {"gateway": 30, "station": 20}[name]) in schedulers(line.pid(name))
        assert schedulers(line.pid("monitor")) == {(os.SCHED_OTHER, 0)}
        assert line.wait("plant", 60.0) == 0
        for name in ("monitor", "station", "gateway"):
            assert line.stop(name) == 0, line.log(name)
            log = (line.folder / f"{name}.log").read_text()
            for word in ("Traceback", "not permitted", "No real-time priority", "ERROR"):
                assert word not in log, log
        assert len(line.records("outcomes.jsonl")) == PARTS
        assert int(str(line.summary()["good_bin"])) >= PARTS // 2, line.summary()
        assert line.summary()["escaped_no_permit"] == 0


@pytest.fixture
def unused_tcp_port() -> int:
    """Return a port that nobody uses now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
