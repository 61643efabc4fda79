"""The shipped configuration in a real Prometheus and a real Alertmanager, before a real monitor of a simulated line."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from edge.monitor.server import Monitor
from tests.support_alerting import Alerting, until
from tests.support_monitor import Line
from tests.support_prometheus import DEPLOY, dashboards, filled, load_yaml, queries, rules, tool

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(280)]

NAME = "line-7"
TICK_S = 0.25


class Simulated:
    """A line that inspects 240 parts a minute; the test changes what it says of itself.

    Attributes:
        station: changes to the station's status; None: it is silent.
        gateway: changes to the gateway's status; None: it is silent.
        line: its sockets, and the monitor.
    """

    def __init__(self, line: Line) -> None:
        self.station: dict[str, Any] | None = {}
        self.gateway: dict[str, Any] | None = {}
        self.line = line
        self._parts = 1000
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(TICK_S):
            self._parts += 1
            n, rejects, undecided = self._parts, self._parts // 30, self._parts // 200
            passed = n - rejects - undecided
            row = {"recorded": n, "lost": 0, "waiting": 1, "behind_ms": 20.0, "problem": ""}
            if self.station is not None:
                counts = {"triggers": n, "frames": n, "acknowledged": n, "journal": row}
                outcomes = {"PASS": passed, "REJECT": rejects, "NO_DECISION": undecided}
                causes = {"clean": passed, "rule": rejects, "frame_missing": undecided}
                evidence = {"written": {"reject": rejects}, "bytes": n * 1000, "free_bytes": 50_000_000_000}
                health = {"brightness": 120.0, "sharpness": 40.0, "frozen_s": 0.0, "shift_px": 0.2, "reject_rate": 0.03}
                health |= {"reject_rate_baseline": 0.03, "score_drift": 0.1, "parts_per_min": 240.0}
                health |= {"temperature_c": 55.0, "clock_mhz": 1500.0, "clock_share": 1.0}
                last = {"number": 1, "result": "passed", "wall_ms": int(time.time() * 1000) - 60_000, "operator": "a"}
                said = {"outcomes": outcomes, "causes": causes, "evidence": evidence, "health": health, **counts}
                said |= {"challenge": {"configured": True, "passed": True, "last": last}}
                self.line.tell_station(**{**said, **self.station})
                self.line.tell_part(part=n)
            if self.gateway is not None:
                rejected = {"reject": rejects, "no_decision": undecided}
                counts = {"plc_triggers": n, "announced": n, "permitted": passed, "executed": passed, "journal": row}
                said = {"rejected": rejected, "dispositions": {"ACCEPTED": n}, "confirmed": passed, **counts}
                self.line.tell_gateway(**{**said, **self.gateway})


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulated, Alerting]]:
    folder = tmp_path_factory.mktemp("live")
    with ExitStack() as stack:
        line = Line(folder)
        stack.callback(line.close)
        line.monitor.start()
        simulated = Simulated(line)
        stack.callback(simulated.close)
        watch = stack.enter_context(Alerting(folder, line.monitor.port, NAME, scrape_s=1))
        until(watch.ready, 60, "Prometheus and Alertmanager do not answer")
        until(
            lambda: bool(watch.api("query", query="line:edge_reject:ratio15m > 0")["result"]), 60, "no part is counted"
        )
        yield simulated, watch


def test_the_health_checks_of_the_containers_find_their_servers_well(watched: tuple[Simulated, Alerting]) -> None:
    _, watch = watched
    services = load_yaml(DEPLOY / "compose.yaml")["services"]
    for name, port in (("prometheus", watch.prometheus), ("alertmanager", watch.alertmanager)):
        _, program, *words = services[name]["healthcheck"]["test"]
        here = [re.sub(r"127.0.0.1:\d+", f"127.0.0.1:{port}", word) for word in words]
        subprocess.run([tool(program), *here], check=True, stdout=subprocess.DEVNULL)


def test_every_rule_is_evaluated_and_nothing_fires_on_a_healthy_line(watched: tuple[Simulated, Alerting]) -> None:
    _, watch = watched
    evaluated = [rule for group in watch.api("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in evaluated} == {rule.name for rule in rules()}
    assert {(rule["name"], rule.get("lastError")) for rule in evaluated if rule["health"] != "ok"} == set()
    assert watch.firing() == {}


def test_every_target_has_a_line(watched: tuple[Simulated, Alerting]) -> None:
    _, watch = watched
    targets = watch.api("targets")["activeTargets"]
    assert {target["health"] for target in targets} == {"up"}
    assert [target["labels"]["line"] for target in targets if target["labels"]["job"] == "edge"] == [NAME]


EMPTY_WHEN_WELL = ("ALERTS", "> 0")
"""What a query has in it that rightly finds nothing on a healthy line."""


@pytest.mark.parametrize("name", dashboards())
def test_every_query_of_every_dashboard_finds_something(watched: tuple[Simulated, Alerting], name: str) -> None:
    _, watch = watched
    for query in queries(dashboards()[name]):
        found = watch.api("query", query=filled(query, NAME))
        well = any(word in query for word in EMPTY_WHEN_WELL) or 'alarm{line="$line"} == 1' in query
        assert found["result"] or well or "edge_challenge_due" in query, query


def test_every_query_of_every_rule_is_understood(watched: tuple[Simulated, Alerting]) -> None:
    _, watch = watched
    for rule in rules():
        watch.api("query", query=rule.expr)


def test_a_restarted_monitor_is_no_news_of_the_line(watched: tuple[Simulated, Alerting]) -> None:
    simulated, watch = watched
    line = simulated.line
    config = line.monitor.config.model_copy(update={"port": line.monitor.port})
    line.monitor.close()
    until(lambda: watch.api("query", query='up{job="edge"} == 0')["result"] != [], 15, "nobody misses the monitor")
    simulated.station = simulated.gateway = None  # the network to them is out, for longer than a status may be old
    line.monitor = Monitor(config)
    line.monitor.start()
    time.sleep(4.0)  # some scrapes, and less than EdgeStationDown waits
    simulated.station, simulated.gateway = {}, {}
    until(lambda: watch.api("query", query="edge_station_up == 1")["result"] != [], 15, "the line is not heard again")
    time.sleep(2.5)  # two more scrapes
    count = "edge_station_triggers_total[1m]"
    counted = watch.api("query", query=f"increase({count}) < 400 and resets({count}) == 0")
    assert counted["result"], watch.api("query", query=count)
    assert watch.firing() == {}


FAULTS: dict[str, tuple[str, dict[str, Any] | None, str, set[str], set[str]]] = {
    "the camera is lost": (
        "station",
        {"state": "FAULT", "reason": "gone", "alarms": {"camera": "the camera is gone"}},
        "EdgeCameraLost", {"shift"}, {"EdgeStationFault"},
    ),
    "the PLC is lost": ("gateway", {"plc_ok": False}, "EdgePlcLost", {"shift"}, set()),
    "the disk is full": (
        "station", {"alarms": {"journal": "no space left"}}, "EdgeJournalFailing", {"shift", "it"}, set(),
    ),
    "the station is dead": ("station", None, "EdgeStationDown", {"shift"}, set()),
}  # fmt: skip
"""Who says what, the alert that it fires, who is told, and what is kept back meanwhile."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fires_its_alert_is_told_and_resolves(watched: tuple[Simulated, Alerting], fault: str) -> None:
    simulated, watch = watched
    side, said, alert, receivers, held = FAULTS[fault]
    setattr(simulated, side, said)
    until(lambda: watch.firing().keys() >= {alert} | held, 40, f"{alert} does not fire")
    annotations = watch.firing()[alert]
    assert annotations["summary"].startswith(NAME)
    assert "error expanding" not in " ".join(annotations.values())
    until(lambda: alert in watch.told() and held <= watch.told().keys(), 15, f"nobody is told of {alert}")
    assert watch.told()[alert] == (receivers, False)
    for name in held:
        until(lambda name=name: watch.told()[name][1], 10, f"{name} is not kept back")  # type: ignore[misc]
    setattr(simulated, side, {})
    until(lambda: watch.firing() == {}, 70, "it does not resolve")  # an alarm's alert stays for half a minute more
