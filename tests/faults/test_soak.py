"""A short soak holds, and one whose line or record lacks a protection does not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.commands.soak_cli import EXIT_FAILED

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

SABOTAGED = str(Path(__file__).parent / "sabotaged.py")

FORGETS = """
from edge.record.journal import Journal
put, rows = Journal.put, iter(range(1 << 30))
Journal.put = lambda self, row: None if next(rows) % 50 == 49 else put(self, row)
from edge.cli import main
main()
"""
"""A process whose journal drops every fiftieth row and says nothing of it."""


def soak(*options: str, programs: Mapping[str, tuple[str, ...]] | None = None) -> tuple[int, dict[str, Any]]:
    """Run `edge soak` and return its exit code and report; ``programs`` stand in for processes of the line."""
    command = (
        "import functools, sys\n"
        "from edge.commands import soak_plan\n"
        f"soak_plan.Plan = functools.partial(soak_plan.Plan, programs={dict(programs or {})!r})\n"
        "from edge.cli import main\n"
        "main()\n"
    )
    arguments = ("soak", "--json", "--keep-gb", "0.02", *options)
    ended = subprocess.run(
        [sys.executable, "-c", command, *arguments], capture_output=True, text=True, timeout=150, check=False
    )
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def test_a_short_soak_under_faults_holds() -> None:
    code, report = soak("--parts", "2400", "--rate", "60", "--fault-every", "3", "--seed", "3")
    assert report["problems"] == []
    assert code == 0
    assert sum(of["count"] for of in report["faults"].values()) >= 4
    assert any(name.endswith(("_killed", "_restarted")) for name in report["faults"])
    assert report["referee"]["good_unaffected"] > 50
    assert report["classes"]["complete"] > 500
    assert report["join"]["passed"] == report["referee"]["good_bin"] > 500
    for journal in report["journals"].values():
        assert journal["bytes"] < 0.02e9 * 1.3, "retention has kept the bound"


def test_a_soak_that_is_ended_leaves_nothing_behind() -> None:
    before = set(Path("/tmp").glob("edge-*"))
    command = [sys.executable, "-m", "edge", "soak", "--parts", "5000", "--rate", "60", "--keep-gb", "0.02"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            time.sleep(8)
            children = _children(running.pid)
            assert len(children) == 4
            running.send_signal(signal.SIGTERM)
            assert running.wait(30) == 128 + signal.SIGTERM
        finally:
            running.kill()
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert "edge-soak" not in Path("/proc/mounts").read_text()
    assert set(Path("/tmp").glob("edge-*")) == before


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_plc_that_passes_by_default_fails_it() -> None:
    program = {"plant": (SABOTAGED, "default_reject")}
    code, report = soak("--parts", "400", "--rate", "60", "--fault-every", "0", programs=program)
    assert code == EXIT_FAILED
    assert report["referee"]["escaped_no_permit"] > 0
    assert any("escaped_no_permit" in problem for problem in report["problems"])


@pytest.mark.parametrize("which", ["gateway"])
def test_a_journal_that_forgets_rows_fails_it(which: str) -> None:
    code, report = soak("--parts", "400", "--rate", "60", "--fault-every", "0", programs={which: ("-c", FORGETS)})
    assert code == EXIT_FAILED
    assert any("unexplained" in problem for problem in report["problems"]), report["problems"]
    assert report["referee"]["escaped_no_permit"] == 0


def test_a_line_faster_than_its_gate_is_refused_and_nothing_stays_behind() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "edge", "soak", "--parts", "100", "--rate", "300", "--keep-gb", "0.02"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert "gate tolerance" in ended.stderr
    assert "edge-soak" not in Path("/proc/mounts").read_text()
