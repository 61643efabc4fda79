"""Each protection is taken out in turn, and the row that it carries must turn red by its own check."""

from __future__ import annotations

import re

import pytest

from tests.faults.matrix.protections import Protection
from tests.faults.matrix.row import judge
from tests.faults.matrix.run import run
from tests.faults.matrix.table import PROTECTIONS, ROWS

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

TURNS = 2
"""What lies on the belt when a fault comes is chance: once in a while nothing there needs the protection."""


@pytest.mark.parametrize("protection", PROTECTIONS, ids=lambda p: p.name)
def test_a_row_is_red_without(protection: Protection) -> None:
    row = next(row for row in ROWS if row.name == protection.row)
    said = []
    for _ in range(TURNS):
        result = run([row], {protection.process: protection.name})
        try:
            judge(result.seen[row.name], result.books)
            said.append("green")
        except AssertionError as red:
            said.append(str(red))
        if re.search(protection.red, said[-1]):
            return
    pytest.fail(f"the row was never red for {protection.red!r}: {said}")
