"""What a person does to a running line: modes, reset, another recipe; and a gate that the gateway times itself."""

from __future__ import annotations

import time

import pytest

from edge.commands.processes import Line
from edge.wire.control import request
from tests.support_line import Eye, assert_nothing_escaped, end, running_line

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

SLOW = "speed_min_mm_s = 150.0\nspeed_max_mm_s = 150.0"
PULSE = """signal = "pulse"
[pulse]
link_p999_ms = 6.0
output_watchdog_ms = 120.0
"""


def gateway(line: Line, command: str, **arguments: str) -> dict[str, object]:
    """Send a command to the gateway."""
    return request(line.folder / "gateway.control", command, **arguments)


def wait_for_no_permits(eye: Eye) -> int:
    """Wait until nothing that was permitted before is still on the belt; return how many were honoured."""
    eye.wait_parts(8)
    return eye.honoured()


def test_a_gate_timed_by_the_gateway_parts_good_from_bad() -> None:
    slow = ("--speed", "150", "--v-max", "150")
    with running_line(30, "--signal", "pulse", "--confirm", "60", *slow, limits=SLOW, plc=PULSE) as (line, _):
        time.sleep(16)
        status = gateway(line, "status")
        seen = end(line, timeout_s=60)
    assert_nothing_escaped(seen)
    assert seen.summary["good_in_reject_bin"] == seen.summary["good_rejected_by_rule"] == 0
    assert status["alarms"] == {}
    assert int(str(status["confirmed"])) > 10
    assert status["contradicted"] == 0


def test_modes_hold_and_release_the_line() -> None:
    with running_line(0, "--infeed", "free") as (line, eye):
        eye.wait_honoured(10, 30)
        assert gateway(line, "mode", mode="inspect-only")["ok"] is True
        before = wait_for_no_permits(eye)
        eye.wait_parts(15)
        assert eye.honoured() == before, "a part passed in mode inspect-only"
        answer = gateway(line, "mode", mode="bypass")
        assert answer["ok"] is False
        assert "accept_escapes" in str(answer["text"])
        assert gateway(line, "mode", mode="auto")["ok"] is True
        eye.wait_honoured(before + 10, 30)
        seen = end(line, stop=True)
        recorded = (line.folder / "gateway-commands.jsonl").read_text()
    assert_nothing_escaped(seen)
    assert recorded.count('"command": "mode"') == 3


def test_jog_holds_the_infeed_and_a_mode_outlives_the_gateway() -> None:
    with running_line(0) as (line, eye):
        eye.wait_honoured(10, 30)
        assert gateway(line, "mode", mode="jog")["ok"] is True
        time.sleep(1.5)
        held = eye.last_part()
        line.stop("gateway")
        line.start_gateway()
        time.sleep(2.0)
        assert eye.last_part() == held, "a part was let in in mode jog"
        assert gateway(line, "status")["mode"] == "jog"
        assert gateway(line, "mode", mode="auto")["ok"] is True
        eye.wait_honoured(eye.honoured() + 10, 30)
        seen = end(line, stop=True)
    assert_nothing_escaped(seen)


def test_another_recipe_holds_for_parts_triggered_after_it() -> None:
    with running_line(0) as (line, eye):
        eye.wait_honoured(10, 30)
        strict = line.folder / "strict.toml"
        strict.write_text('[recipe]\nname = "strict"\nrules = [{ name = "anything", min_score = 0.2 }]\n')
        answer = request(line.folder / "station.control", "recipe", path=str(strict))
        assert answer["ok"] is True, answer
        eye.wait_parts(25)
        seen = end(line, stop=True)
    assert_nothing_escaped(seen)
    recipes = [record["recipe"] for _, record in sorted(seen.outcomes.items())]
    first = recipes.index("strict")
    assert set(recipes[:first]) == {"test"}
    assert set(recipes[first:]) == {"strict"}
    assert len(recipes) - first >= 15
    assert sum(record["cause"] == "clean" for record in seen.outcomes.values() if record["recipe"] == "strict") > 5


def test_a_recipe_set_by_command_outlives_the_station() -> None:
    with running_line(0) as (line, eye):
        eye.wait_honoured(5, 30)
        strict = line.folder / "strict.toml"
        strict.write_text('[recipe]\nname = "strict"\nrules = [{ name = "anything", min_score = 0.2 }]\n')
        assert request(line.folder / "station.control", "recipe", path=str(strict))["ok"] is True
        line.stop("station")
        line.start_station()
        eye.wait_honoured(eye.honoured() + 10, 30)
        seen = end(line, stop=True)
    assert_nothing_escaped(seen)
    assert max(seen.outcomes.items())[1]["recipe"] == "strict"
