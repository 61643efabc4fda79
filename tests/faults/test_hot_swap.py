"""Another model while parts are on the belt, with real processes: no part lost, none judged by the wrong pair."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.commands.model_activate import activate
from edge.commands.processes import MODELS, Line
from edge.errors import ControlError
from edge.model.package import MODEL_FILE, load_package
from edge.record.journal.reader import Folder
from edge.record.journal.reconcile import reconcile
from edge.wire.control import request
from tests.support_broken import broken
from tests.support_line import Ended, assert_nothing_escaped, end, running_line, send

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]

FIRST = load_package(MODELS / "sim-strip").identity
FENCE_PARTS = 10
"""More than are on the belt at a time."""

SETTLING = 5
"""The first parts of a station that starts on a belt that runs: whose frame is whose has to be learnt."""


@contextlib.contextmanager
def busy_machine(programs: int = 2) -> Iterator[None]:
    """Run ordinary programs that want every core."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(programs)]
    try:
        yield
    finally:
        for program in running:
            program.kill()
            program.wait()


def release(folder: Path, version: str) -> Path:
    """Make a package of its own out of the shipped one, and return where it lies."""
    package = folder / f"sim-strip-{version}"
    shutil.copytree(MODELS / "sim-strip", package)
    manifest = package / "manifest.toml"
    manifest.write_text(re.sub(r'(?m)^version = ".*"$', f'version = "{version}"', manifest.read_text(), count=1))
    return package


def recipe(line: Line, name: str, rule: str, min_score: float = 0.5, classes: str = "") -> Path:
    """Write a recipe of one rule, by whose name its rejects are told apart."""
    path = line.folder / f"{name}.toml"
    path.write_text(f'[recipe]\nname = "{name}"\nrules = [{{ name = "{rule}", min_score = {min_score}{classes} }}]\n')
    return path


def control(line: Line) -> Path:
    return line.folder / "station.control"


def changes(line: Line) -> list[tuple[int, str, str]]:
    """Return since when which model and recipe were in force, by the journal; the first since ever."""
    found = [(0, FIRST, "test")]
    for event in Folder(line.folder / "station-journal").events():
        if event.kind == "model":
            found.append((event.at_ns, event.data["new"]["model"], event.data["new"]["recipe"]))
    return found


def assert_each_part_had_its_own_pair(line: Line, seen: Ended, rules: dict[str, str]) -> None:
    """No part is lost, each was decided in time, by the pair that was in force at its T0, and it shows in its rule.

    Args:
        rules: the name of the one rule of each recipe.
    """
    assert_nothing_escaped(seen)
    first = min(seen.outcomes) + SETTLING
    # Those still on the belt when the line was stopped lost camera and eye, the last perhaps before its edge was sent.
    fallen = {number for number, plate in seen.plates.items() if number >= first and plate["bin"] is not None}
    parts = {number: record for number, record in seen.outcomes.items() if number in fallen}
    assert parts.keys() == fallen, "a part has no outcome"
    assert {record["cause"] for record in parts.values()} == {"clean", "rule"}
    fences = changes(line)
    judged: dict[str, int] = {}
    for number, record in parts.items():
        model, name = [(model, name) for since, model, name in fences if since <= record["t0_ns"]][-1]
        assert (record["model"], record["recipe"]) == (model, name), f"part {number}"
        assert record["rule"] in ("", rules[name]), f"part {number} was judged by another recipe"
        judged[name] = judged.get(name, 0) + 1
    assert judged.keys() == rules.keys()
    result = reconcile(line.folder / "station-journal", line.folder / "gateway-journal")
    assert result.reconciled, result.examples


def test_swaps_under_load_lose_no_part_and_each_part_has_the_pair_of_its_trigger() -> None:
    with busy_machine(), running_line(0, "--infeed", "free") as (line, eye):
        eye.wait_honoured(10, 30)
        second = release(line.folder, "2")
        answer = activate(control(line), second, recipe(line, "second", "other"))
        assert "sim-strip@2" in answer
        eye.wait_parts(15)
        assert request(control(line), "rollback")["ok"] is True
        eye.wait_parts(15)
        activate(control(line), release(line.folder, "3"), recipe(line, "third", "yet another"), "onnxruntime", "fp32")
        eye.wait_parts(15)
        activate(control(line), second, recipe(line, "fourth", "the last"))
        eye.wait_parts(15)
        status = request(control(line), "status")
        seen = end(line, stop=True)
        rules = {"test": "any defect", "second": "other", "third": "yet another", "fourth": "the last"}
        assert_each_part_had_its_own_pair(line, seen, rules)
        used = {(record["model"].partition("+")[0], record["engine"]) for record in seen.outcomes.values()}
        events = [e for e in Folder(line.folder / "station-journal").events() if e.kind == "model"]
    assert status["activation"]["state"] == "active"
    assert ("sim-strip@3", "onnxruntime") in used
    assert [event.data["command"] for event in events] == ["activate", "rollback", "activate", "activate"]
    assert all(event.data["user"] and event.data["uid"] >= 0 for event in events)
    assert events[0].data["old"]["model"] == FIRST


def test_a_model_of_another_input_takes_over_and_gives_back() -> None:
    with running_line(0, "--infeed", "free") as (line, eye):
        eye.wait_honoured(10, 30)
        activate(control(line), MODELS / "neu-det", recipe(line, "crude", "anything", 0.05), "onnxruntime", "fp32")
        eye.wait_parts(15)
        assert request(control(line), "rollback")["ok"] is True
        permits = eye.honoured()
        eye.wait_honoured(permits + FENCE_PARTS, 30)
        seen = end(line, stop=True)
        assert_each_part_had_its_own_pair(line, seen, {"test": "any defect", "crude": "anything"})
    assert {record["model"].partition("@")[0] for record in seen.outcomes.values()} == {"sim-strip", "neu-det"}


def test_what_must_not_decide_leaves_the_model_that_does() -> None:
    with running_line(0, "--infeed", "free") as (line, eye):
        eye.wait_honoured(5, 30)
        package = load_package(MODELS / "sim-strip")
        corrupt = release(line.folder, "corrupt")
        data = bytearray((corrupt / MODEL_FILE).read_bytes())
        data[len(data) // 2] ^= 1
        (corrupt / MODEL_FILE).write_bytes(data)
        shuffled = broken(package, "classes shuffled", line.folder / "shuffled").path
        unknown = recipe(line, "unknown", "rust", classes=', classes = ["rust"]')
        wrong: list[tuple[Path, Path | None, str]] = [
            (corrupt, None, "sha256"),
            (shuffled, None, "does not reproduce the golden outputs"),
            (package.path, unknown, "rust"),
            (line.folder, None, "manifest.toml"),
        ]
        for folder, file, word in wrong:
            with pytest.raises(ControlError, match=word):
                activate(control(line), folder, file)
        eye.wait_parts(10)
        with pytest.raises(ControlError, match="no model to go back to"):
            _rollback(line)
        seen = end(line, stop=True)
        assert_each_part_had_its_own_pair(line, seen, {"test": "any defect"})
        failures = [e for e in Folder(line.folder / "station-journal").events() if e.kind == "model_failed"]
    assert len(failures) == len(wrong)
    assert all(word in event.text for event, (_, _, word) in zip(failures, wrong, strict=True))
    assert {event.data["kept"]["model"] for event in failures} == {FIRST}


def _rollback(line: Line) -> None:
    answer = request(control(line), "rollback")
    if not answer["ok"]:
        raise ControlError(answer["text"], answer["remedy"])


def test_a_kill_amid_an_activation_leaves_the_old_pair_and_a_kill_after_it_the_new_one() -> None:
    with running_line(0) as (line, eye):
        eye.wait_honoured(5, 30)
        second = release(line.folder, "2")
        file = recipe(line, "second", "other")
        answer = request(control(line), "activate", package=str(second), recipe=str(file))
        assert answer["activation"]["state"] == "loading"
        send(line, signal.SIGKILL, "station")
        line.start_station()
        eye.wait_honoured(eye.honoured() + FENCE_PARTS, 60)
        assert str(request(control(line), "status")["model"]) == FIRST
        activate(control(line), second, file)
        eye.wait_honoured(eye.honoured() + 5, 30)
        send(line, signal.SIGKILL, "station")
        line.start_station()
        eye.wait_honoured(eye.honoured() + FENCE_PARTS, 60)
        assert str(request(control(line), "status")["model"]).startswith("sim-strip@2+")
        seen = end(line, stop=True)
        assert_nothing_escaped(seen, kills=2)
        last = seen.outcomes[max(seen.outcomes)]
        result = reconcile(line.folder / "station-journal", line.folder / "gateway-journal")
    assert (last["recipe"], last["model"].partition("+")[0]) == ("second", "sim-strip@2")
    assert result.reconciled, result.examples


def test_a_stop_amid_an_activation_ends_in_order() -> None:
    with running_line(0) as (line, eye):
        eye.wait_honoured(5, 30)
        assert request(control(line), "activate", package=str(MODELS / "neu-det"))["ok"] is True
        begun = time.monotonic()
        assert line.stop("station", timeout_s=12) == 0, line.log("station")
        took_s = time.monotonic() - begun
        line.start_station()
        eye.wait_honoured(eye.honoured() + 5, 60)
        seen = end(line, stop=True)
        commands = [json.loads(row) for row in (line.folder / "station-commands.jsonl").read_text().splitlines()]
    assert took_s < 8
    assert_nothing_escaped(seen)
    assert {record["model"] for record in seen.outcomes.values()} == {FIRST}
    assert not any("model" in row.get("state", {}) for row in commands)
