"""A real Prometheus and a real Alertmanager, from Debian's packages, on the files of deploy/."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.support_prometheus import DEPLOY, load_yaml, tool

SHIPPED_SCRAPE_S = 5


def free_port() -> int:
    """Return a TCP port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(found: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until something is found."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, what
        time.sleep(0.25)


class Alerting:
    """Both servers on the shipped files, with ports of their own, and nobody who is written to.

    Args:
        folder: for configurations, data and logs.
        monitor_port: of the monitor that is scraped.
        line: what the line is called.
        scrape_s: how often it scrapes and evaluates its rules.

    Attributes:
        prometheus, alertmanager: their ports.
    """

    def __init__(self, folder: Path, monitor_port: int, line: str, scrape_s: int = SHIPPED_SCRAPE_S) -> None:
        self.prometheus, self.alertmanager = free_port(), free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folder = folder
        ports = {"127.0.0.1:9090": f"127.0.0.1:{self.prometheus}", "127.0.0.1:9093": f"127.0.0.1:{self.alertmanager}"}
        shipped = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
        for there, here in ports.items():
            shipped = shipped.replace(there, here)
        if scrape_s != SHIPPED_SCRAPE_S:
            shipped = re.sub(r"_interval: 5s", f"_interval: {scrape_s}s", shipped)
            shipped = shipped.replace("scrape_timeout: 4s", f"scrape_timeout: {scrape_s}s")
        (folder / "prometheus.yml").write_text(shipped)
        shutil.copytree(DEPLOY / "prometheus" / "rules", folder / "rules")
        (folder / "targets").mkdir()
        target = [{"targets": [f"127.0.0.1:{monitor_port}"], "labels": {"line": line}}]
        (folder / "targets" / "lines.yml").write_text(yaml.safe_dump(target))
        receivers = load_yaml(DEPLOY / "alertmanager" / "alertmanager.yml")
        silent = {**receivers, "receivers": [{"name": r["name"]} for r in receivers["receivers"]], "templates": []}
        (folder / "alertmanager.yml").write_text(yaml.safe_dump({n: v for n, v in silent.items() if n != "global"}))

    def __enter__(self) -> Alerting:
        data = self._folder
        try:
            self._start(
                tool("prometheus-alertmanager"), f"--config.file={data}/alertmanager.yml", f"--storage.path={data}/am",
                "--cluster.listen-address=", f"--web.listen-address=127.0.0.1:{self.alertmanager}",
            )  # fmt: skip
            self._start(
                tool("prometheus"), f"--config.file={data}/prometheus.yml", f"--storage.tsdb.path={data}/tsdb",
                f"--web.listen-address=127.0.0.1:{self.prometheus}",
            )  # fmt: skip
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(20)

    def _start(self, *words: str) -> None:
        with (self._folder / f"{Path(words[0]).name}.log").open("wb") as log:
            self._processes.append(subprocess.Popen(words, stdout=log, stderr=log))

    def api(self, path: str, **query: str) -> Any:
        """Return what Prometheus answers."""
        url = f"http://127.0.0.1:{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as reply:
            return json.load(reply)["data"]

    def told(self) -> dict[str, tuple[set[str], bool]]:
        """Return the alerts that Alertmanager holds: to whom they go, and whether another one keeps them back."""
        url = f"http://127.0.0.1:{self.alertmanager}/api/v2/alerts"
        with urllib.request.urlopen(url, timeout=10) as reply:
            return {
                a["labels"]["alertname"]: ({r["name"] for r in a["receivers"]}, bool(a["status"]["inhibitedBy"]))
                for a in json.load(reply)
            }

    def firing(self) -> dict[str, dict[str, str]]:
        """Return the annotations of the alerts that fire."""
        found = self.api("alerts")["alerts"]
        return {a["labels"]["alertname"]: a["annotations"] for a in found if a["state"] == "firing"}

    def ready(self) -> bool:
        """Say whether both answer and every rule was evaluated."""
        try:
            self.told()
            groups = self.api("rules")["groups"]
        except OSError:
            return False
        return bool(groups) and all(rule["health"] != "unknown" for group in groups for rule in group["rules"])
