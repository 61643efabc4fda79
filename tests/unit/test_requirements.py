"""The locked requirements: they have what pyproject.toml asks for, agree with one another, and name no place."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lines(name: str) -> set[str]:
    """Return the pins of a locked file."""
    return set((ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8").splitlines())


def files() -> dict[str, list[str]]:
    """Return the extras of each file, as the script that locks them knows them."""
    specification = importlib.util.spec_from_file_location("lock", ROOT / "deploy" / "lock.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    found: dict[str, list[str]] = module.FILES
    return found


@pytest.mark.parametrize("name", files())
def test_what_is_asked_for_is_locked_within_its_bounds(name: str) -> None:
    pins = [Requirement(line) for line in lines(name)]
    asked = [
        *PROJECT["dependencies"],
        *(one for extra in files()[name] for one in PROJECT["optional-dependencies"][extra]),
    ]
    for wanted in map(Requirement, asked):
        versions = {
            next(iter(pin.specifier)).version
            for pin in pins
            if canonicalize_name(pin.name) == canonicalize_name(wanted.name)
        }
        assert versions, f"{wanted} is not locked: run make lock"
        assert all(version in wanted.specifier for version in versions), (wanted, versions)


def test_every_process_of_a_line_has_what_it_needs() -> None:
    assert {"cpu", "monitor", "challenge"} <= set(files()["runtime"])


@pytest.mark.parametrize(("smaller", "larger"), [("runtime", "dev"), ("dev", "train")])
def test_a_larger_file_holds_the_same_versions(smaller: str, larger: str) -> None:
    have, there = ({line.partition(" ;")[0] for line in lines(name)} for name in (smaller, larger))
    assert have <= there, have - there


@pytest.mark.parametrize("name", [*files(), "jetson"])
def test_a_pin_is_a_version_and_no_place(name: str) -> None:
    for line in lines(name):
        pin = Requirement(line)
        assert pin.url is None
        assert [one.operator for one in pin.specifier] == ["=="], line
