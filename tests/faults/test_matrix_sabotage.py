"""Each protection is taken out in turn, and the row that it carries must turn red by its own check."""

from __future__ import annotations

import pytest

from tests.faults.matrix.protections import Protection
from tests.faults.matrix.row import judge
from tests.faults.matrix.run import run
from tests.faults.matrix.table import PROTECTIONS, REAL

pytestmark = [pytest.mark.process, pytest.mark.timeout(180)]


@pytest.mark.parametrize("protection", PROTECTIONS, ids=lambda p: p.name)
def test_a_row_is_red_without(protection: Protection) -> None:
    row = next(row for row in REAL if row.name == protection.row)
    result = run([row], {protection.process: protection.name})
    with pytest.raises(AssertionError, match=protection.red):
        judge(result.seen[row.name], result.books)
