"""`edge demo` as a newcomer runs it, and its equations when one of the witnesses is wrong."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

KEYS = {
    *("parts", "pass", "reject", "no_decision", "detection_rate", "false_reject_rate", "wrong_part"),
    *("escaped_no_permit", "latency_ms", "deadline_ms", "missed", "triggers", "outcomes", "acknowledged", "reconciled"),
}


def test_the_demo_finds_the_defects_and_reconciles() -> None:
    command = [sys.executable, "-m", "edge", "demo", "--parts", "120", "--seed", "23", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary.keys() >= KEYS
    assert summary["reconciled"] is True, summary["problems"]
    assert summary["parts"] == summary["triggers"] == summary["outcomes"] == summary["acknowledged"] == 120
    assert summary["detection_rate"] >= 0.95
    assert summary["false_reject_rate"] <= 0.05
    assert summary["missed"] <= 1
    assert summary["deadline_ms"] <= 100
    assert summary["wrong_part"] == summary["escaped_no_permit"] == 0
    assert 0.2 <= summary["defective"] / summary["parts"] <= 0.4


def test_a_rate_that_the_gate_cannot_hold_is_refused_by_its_number() -> None:
    command = [sys.executable, "-m", "edge", "demo", "--rate", "1200", "--parts", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "gate tolerance at 2000 mm/s is 5.0 ms" in done.stderr
