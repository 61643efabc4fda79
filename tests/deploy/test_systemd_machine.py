"""`edge install` on a machine with a real systemd: the services come up, are watched, and are gone again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.deploy.machine import Machine
from tests.support_tools import lack, need

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(200)]

EDGE = "/opt/edge/bin/edge"
STATION, GATEWAY, MONITOR = (f"edge-{role}@line-1.service" for role in ("station", "gateway", "monitor"))


def wait_for(machine: Machine, unit: str, name: str, value: str, timeout_s: float) -> None:
    """Wait until a property of a unit has a value."""
    end = time.monotonic() + timeout_s
    while (found := machine.show(unit, name)) != value:
        assert time.monotonic() < end, (unit, name, found, machine.run("journalctl", "--no-pager", "-u", unit))
        time.sleep(0.2)


def examined(machine: Machine) -> dict[str, str]:
    """Run the doctor as the services' user, before anything is started; return what failed, and why."""
    as_edge = "setpriv --reuid=edge --regid=edge --init-groups"
    state = "env EDGE_STATE=/var/lib/edge/line-1/station"
    files = "/etc/edge/line-1/gateway.toml /etc/edge/line-1/station.toml"
    said = machine.run("sh", "-c", f"{as_edge} {state} {EDGE} doctor {files} --json || test $? = 1")
    return {found["name"]: found["detail"] for found in json.loads(said)["findings"] if found["status"] == "fail"}


def test_a_line_is_installed_runs_is_watched_and_is_gone_again(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        lack("makes namespaces: needs root")
    for program, package in (
        ("systemctl", "systemd"),
        ("unshare", "util-linux"),
        ("useradd", "passwd"),
        ("ip", "iproute2"),
    ):
        need(program, package)
    with Machine(tmp_path / "boot.log") as machine:
        said = machine.run(EDGE, "install", "line-1", "--program", EDGE, "--models", "/opt/edge-src/models", "--yes")
        assert "create /etc/edge/line-1/station.toml" in said
        barred = {name: why for name, why in examined(machine).items() if "cannot be written" in why}
        assert not barred, "folders and rights are those that the services need"
        machine.run("ip", "link", "set", "lo", "up")
        machine.start(EDGE, "simulate", "plant", "--parts", "0", "--modbus", "5020", "--no-realtime")
        machine.run("systemctl", "start", GATEWAY, MONITOR)
        wait_for(machine, GATEWAY, "StatusText", "mode auto, PLC ok, station none", 20.0)
        machine.run("systemctl", "start", STATION)  # returns when it is ready
        assert machine.show(STATION, "ActiveState") == "active"
        wait_for(machine, GATEWAY, "StatusText", "mode auto, PLC ok, station station-line-1", 20.0)
        assert machine.run("stat", "-c", "%U %a", "/run/edge/line-1-gateway/link") == "edge 600\n"
        assert "line-1-station/telemetry" in machine.run("journalctl", "--no-pager", "-u", MONITOR)
        assert machine.show(MONITOR, "StatusText").startswith("Serving on http://")

        station = machine.show(STATION, "MainPID")
        machine.run("kill", "-STOP", station)
        wait_for(machine, STATION, "NRestarts", "1", 30.0)
        wait_for(machine, STATION, "ActiveState", "active", 60.0)
        assert machine.show(STATION, "MainPID") != station
        log = machine.run("journalctl", "--no-pager", "-u", STATION)
        assert "Watchdog timeout" in log
        assert "loop.py" in log, "it has written where it was"
        assert machine.show(GATEWAY, "NRestarts") == "0", "the gateway has nothing to do with it"

        begun = time.monotonic()
        machine.run("systemctl", "stop", STATION)
        assert machine.show(STATION, "Result") == "success"
        assert time.monotonic() - begun < 15.0

        machine.run(EDGE, "uninstall", "--yes", "--purge-data", "--purge-settings")
        assert machine.show(GATEWAY, "ActiveState") == "inactive"
        assert machine.show(GATEWAY, "LoadState") == "not-found"
        gone = [
            "/etc/edge",
            "/var/lib/edge",
            "/var/cache/edge",
            "/etc/sysusers.d/edge.conf",
            "/etc/udev/rules.d/60-edge.rules",
        ]
        gone += [f"/etc/systemd/system/edge-{role}@.service" for role in ("station", "gateway", "monitor")]
        for path in gone:
            machine.run("test", "!", "-e", path)
        machine.run("id", "edge", code=1)
