"""The rules under promtool: each alert fires and ends where it should, and a changed one is found out."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support_prometheus import DEPLOY, RULE_TESTS, RULES, Rule, alerts, load_yaml, metrics, rules, tool

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(240)]

FILES = sorted(RULE_TESTS.glob("*.yml"))


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool("promtool"), *map(str, words)], capture_output=True, text=True, check=False)


def test_the_configuration_is_sound() -> None:
    done = promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "targets/lines.yml" not in done.stderr


def test_no_rule_is_questionable() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.yml")))
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_rules_do_what_their_scenarios_say(path: Path) -> None:
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stderr + done.stdout


# -- a changed rule is found out -------------------------------------------------------------------------------------

_NUMBER = re.compile(r"(?<=[<>=] )\d+(?:\.\d+)?\b(?!\s*\*)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def changed(rule: Rule) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield changes of an alert, each with a name: other thresholds, other comparisons, clauses and waits left out."""
    present = alert(rule)
    if rule.hold_for:
        yield "without its wait", {name: value for name, value in present.items() if name != "for"}
        seconds = int(rule.hold_for[:-1]) * _SECONDS[rule.hold_for[-1]]
        yield "with twice its wait", {**present, "for": f"{2 * seconds}s"}
    for match in _NUMBER.finditer(rule.expr):
        value = float(match.group())
        whole = value < 5 and value.is_integer()
        for other in (value + 1, *([value - 1] if value else [])) if whole else (value * 1.25, value * 0.75):
            expr = rule.expr[: match.start()] + f"{other:g}" + rule.expr[match.end() :]
            yield f"{match.group()} becomes {other:g}", {**present, "expr": expr}
    for match in re.finditer(r" (>=|==|!=|>|<) (?!bool)", rule.expr):
        opposite = {">=": "<", "==": "!=", "!=": "==", ">": "<=", "<": ">="}[match.group(1)]
        expr = f"{rule.expr[: match.start()]} {opposite} {rule.expr[match.end() :]}"
        yield f"{match.group(1)} becomes {opposite}", {**present, "expr": expr}
    clauses = re.split(r" and ", rule.expr)
    for left_out in range(len(clauses) if len(clauses) > 1 else 0):
        rest = [clause for i, clause in enumerate(clauses) if i != left_out]
        rest[0] = re.sub(r"^on \(line\) ", "", rest[0])
        yield f"without its clause {left_out + 1}", {**present, "expr": " and ".join(rest)}


def alert(rule: Rule) -> dict[str, Any]:
    """Return when an alert fires, and with which labels, as its file says it."""
    return {"expr": rule.expr, "labels": rule.labels, **({"for": rule.hold_for} if rule.hold_for else {})}


SAME = {("EdgeEvidenceDiskFillsUp", "0 becomes 1")}
"""Changes that change nothing: a disk of one free byte is full too."""

UNCHANGED = "unchanged"
VARIANTS = {
    (rule.name, name): (rule, expected)
    for rule in alerts()
    if rule.file != "alarms.yml"
    for name, expected in ((UNCHANGED, alert(rule)), *changed(rule))
    if (rule.name, name) not in SAME
}
"""By alert and change, among them none at all: the rule as it is, and what it becomes."""


def reads(rule: Rule, scenario: dict[str, Any]) -> bool:
    """Say whether a scenario has a series which the alert reads."""
    series = {re.split(r"[{]", one["series"])[0].removesuffix("_bucket") for one in scenario["input_series"]}
    return bool(series & metrics(rule.expr))


def asked(name: str, rule: Rule, scenario: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what a scenario expects of the alert, of a variant that has a name of its own."""
    for step in scenario["promql_expr_test"]:
        samples = [s for s in step["exp_samples"] if f'"{rule.name}"' in s["labels"]]
        yield {
            "expr": f'count by (alertname, line) (ALERTS{{alertstate="firing",alertname="{name}"}})',
            "eval_time": step["eval_time"],
            "exp_samples": [{**s, "labels": s["labels"].replace(f'"{rule.name}"', f'"{name}"')} for s in samples],
        }


def write_test(path: Path, scenario: dict[str, Any], interval: str, variants: dict[str, tuple[Rule, Any]]) -> None:
    """Write a test of one scenario, and beside it the variants, by name, of the alerts that read its series."""
    reading = {name: (rule, when) for name, (rule, when) in variants.items() if reads(rule, scenario)}
    recorded = [{"record": one.name, "expr": one.expr} for one in rules() if not one.alert]
    group = {"name": "g", "rules": recorded + [{"alert": name, **when} for name, (_, when) in reading.items()]}
    path.with_suffix(".rules").write_text(json.dumps({"groups": [group]}))
    steps = [step for name, (rule, _) in reading.items() for step in asked(name, rule, scenario)]
    head = {"rule_files": [path.with_suffix(".rules").name], "evaluation_interval": interval}
    path.write_text(json.dumps({**head, "tests": [{**scenario, "promql_expr_test": steps}]}))


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], set[tuple[str, str]]]:
    """Return the variants of a file's alerts that fail a scenario.  All run at once, each under a name of its own."""

    @cache
    def run(file: str) -> set[tuple[str, str]]:
        keys = {f"Variant{n}": key for n, key in enumerate(VARIANTS) if VARIANTS[key][0].file == file}
        folder, given = tmp_path_factory.mktemp(file), load_yaml(RULE_TESTS / file)
        for n, scenario in enumerate(given["tests"]):
            variants = {name: VARIANTS[key] for name, key in keys.items()}
            write_test(folder / f"{n}.test", scenario, given["evaluation_interval"], variants)
        done = promtool("test", "rules", *folder.glob("*.test"))
        said = done.stderr + done.stdout
        assert "FAILED:" in said, said
        assert "err:" not in said, said  # a scenario that is given up says nothing of the other variants
        return {keys[name] for name in re.findall(r'alertname=\\"(\w+)\\"', said)}

    return run


@pytest.mark.parametrize(("name", "change"), VARIANTS)
def test_a_changed_alert_is_found_out(name: str, change: str, failing: Callable[[str], set[tuple[str, str]]]) -> None:
    rule, _ = VARIANTS[name, change]
    assert ((name, change) in failing(rule.file)) == (change != UNCHANGED), "it passes all scenarios, or fails as it is"
