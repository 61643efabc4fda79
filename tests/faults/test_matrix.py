"""The fault matrix: every row of docs/faults.md, with real processes."""

from __future__ import annotations

import functools

import pytest

from tests.faults.matrix.row import SHARE_UNHARMED, Row, judge
from tests.faults.matrix.run import Run, run
from tests.faults.matrix.table import ROWS, of_setup

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

BY_SETUP = sorted(ROWS, key=lambda row: row.setup)  # those of one line together
LINES = sorted({row.setup for row in ROWS})


@functools.cache
def line_of(setup: str) -> Run:
    """Run all rows of a setup, once."""
    return run(of_setup(setup))


@pytest.mark.parametrize("row", BY_SETUP, ids=lambda row: row.name.replace(" ", "-"))
def test_row(row: Row) -> None:
    result = line_of(row.setup)
    assert row.name in result.seen, f"the line did not come back after {list(result.seen)[-1]}"
    judge(result.seen[row.name], result.books)


@pytest.mark.parametrize("setup", LINES, ids=lambda setup: setup.replace(" ", "-"))
def test_line(setup: str) -> None:
    books = line_of(setup).books
    assert [books.summary[name] for name in ("escaped_no_permit", "passed_unasked", "wrong_part")] == [0, 0, 0]
    assert not [plate for plate in books.uncounted if plate["bin"] == "good"], "a plate that no eye saw passed"
    passed, good = books.summary["good_unaffected_passed"], books.summary["good_unaffected"]
    assert passed >= SHARE_UNHARMED * good > 0, f"{passed} of {good} good parts that no fault affected passed"
    assert books.reconciled == "", books.reconciled
