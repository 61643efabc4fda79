"""`edge monitor` as a process: its memory under everything that is asked of it, its first page, its end."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.monitor.web import users
from edge.record.evidence.store import Entry, Store
from tests import support_evidence as evidence
from tests.support_monitor import JPEG, Browser, Line

pytestmark = pytest.mark.process

PASSWORD = "correct horse battery"
MEMORY_MB = 150
VIEWERS = 5


@dataclass
class Process:
    """A monitor of its own, and the sockets that it listens to."""

    line: Line
    process: subprocess.Popen[str]
    browser: Browser
    started_s: float

    def status(self, name: str) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+)", text)
        assert found is not None
        return int(found[1])


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[Process]:
    (tmp_path / "evidence").mkdir()
    store = Store(tmp_path / "evidence", evidence.quota())
    big = evidence.picture("jpeg", shape=(1024, 1280))
    for n in range(60):
        told = evidence.record(n, minutes=n)
        file = store.place(told, big.suffix)
        store.put(Entry(told, "reject"), file, big.data, b'{"findings": [], "near": []}')
    store.close()
    users.add(tmp_path / "users.toml", "anna", PASSWORD)
    line = Line(tmp_path)  # its monitor is never started: the process below takes its place
    sources = "".join(f'{name} = "{endpoint}"\n' for name, endpoint in line.endpoints.items())
    (tmp_path / "monitor.toml").write_text(
        f'port = 0\nusers = "{tmp_path}/users.toml"\nannotations = "{tmp_path}/annotations.sqlite"\n'
        f'[sources]\n{sources}evidence = "{tmp_path}/evidence"\n'
    )
    command = [sys.executable, "-m", "edge", "monitor", "--config", str(tmp_path / "monitor.toml")]
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.readline()
    port = re.search(r":(\d+)/", said)
    assert port is not None, said
    yield Process(line, process, Browser(int(port[1])), time.monotonic() - start)
    process.kill()
    process.wait()
    process.stdout.close()
    line.close()


def test_memory_stays_small_whatever_is_asked(monitor: Process) -> None:
    stop = threading.Event()
    heard = [0] * VIEWERS

    def view(n: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", monitor.browser.port, timeout=10)
        connection.request("GET", "/api/events")
        stream = connection.getresponse()
        while not stop.is_set() and (text := stream.readline()):
            heard[n] += text.startswith(b"event: ")
        connection.close()

    threads = [threading.Thread(target=view, args=(n,)) for n in range(VIEWERS)]
    for thread in threads:
        thread.start()
    live = JPEG + bytes(150_000)
    pictures = monitor.browser.get("/api/pictures").json["pictures"]
    for second in range(8):
        monitor.line.tell_station(triggers=second)
        monitor.line.tell_gateway()
        for part in range(10):
            monitor.line.tell_part(part=second * 10 + part)
            monitor.line.tell_live(live, part=part)
        assert monitor.browser.get("/metrics").status == 200
        for told in pictures[second * 7 : second * 7 + 7]:
            assert monitor.browser.get(told["thumb"]).status == 200
            assert monitor.browser.get(told["url"]).status == 200
        assert monitor.browser.login("anna", PASSWORD).status == 200
        time.sleep(0.3)
    peak_mb = monitor.status("VmHWM") / 1024
    stop.set()
    monitor.line.tell_station(triggers=99)
    for thread in threads:
        thread.join()
    assert min(heard) > 20
    assert peak_mb < MEMORY_MB, f"{peak_mb:.0f} MB"
    assert monitor.status("Threads") <= 20


def test_the_first_page_comes_at_once_and_a_stall_shows_in_time(monitor: Process) -> None:
    start = time.monotonic()
    assert monitor.browser.get("/").status == 200
    assert monitor.browser.get("/api/state").status == 200
    assert time.monotonic() - start < 1
    last = time.monotonic()
    while monitor.browser.get("/api/state").json["station"]["up"] is not True:
        monitor.line.tell_station()
        last = time.monotonic()
        time.sleep(0.02)
    while monitor.browser.get("/api/state").json["reason_key"] != "station_silent":
        assert time.monotonic() - last < 2
        time.sleep(0.02)


def test_it_ends_when_told_to_and_says_where_it_serves(monitor: Process) -> None:
    health = json.loads(monitor.browser.get("/healthz").body)
    assert health["listening"] is True
    monitor.process.send_signal(signal.SIGTERM)
    assert monitor.process.wait(10) == 0
