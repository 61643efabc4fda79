"""All rows, and the page docs/faults.md that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.faults.matrix import (
    protections,
    protections_line,
    protections_station,
    rows_engine,
    rows_host,
    rows_line,
    rows_link,
    rows_process,
)
from tests.faults.matrix.protections import Protection
from tests.faults.matrix.row import RECOVERY_PARTS, Row

ROWS: tuple[Row, ...] = (
    *rows_process.ROWS,
    *rows_engine.ROWS,
    *rows_line.ROWS,
    *rows_link.ROWS,
    *rows_host.ROWS,
)
PROTECTIONS: tuple[Protection, ...] = (
    *protections.PROTECTIONS,
    *protections_station.PROTECTIONS,
    *protections_line.PROTECTIONS,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "faults.md"
MEASURED = Path(__file__).parent / "measured.json"

_HEAD = f"""\
# What happens when something breaks

Every row is a test with real processes: plant, gateway, station and monitor, with their journals, at 600 parts a minute
(`tests/faults/test_matrix.py`). A row is green only if all that it says was seen. The referee's word on the parts that
come after a fault is the same for all: nothing lies in the good bin without a permit, on another part's frame, or
although the station did not pass it; and good parts pass again, the first at most {RECOVERY_PARTS} parts after the
station has a session (the fence, and a run of defective parts). A row in which no defective part is rejected by its own
rule outside the fault is red too.

*Back in* is the time from the end of the fault to the first permit that the PLC honours: the bound that the test
asserts, and in brackets what was measured last, on two shared cores. *Shown* are lines of `/metrics`, seen while the
fault lasts and gone after it; `up 0.0` is Prometheus' own word for a monitor that does not answer.

Among the causes, `no session` says that the station decided on the part and had nobody to tell; the others are words
of `edge journal`. What nobody saw (all processes killed) is told by `edge journal reconcile`, which must leave no part
over when the line has ended.

This page is made from the table by `python -m tests.faults.matrix --write`; a test compares them.

"""


def of_setup(setup: str) -> list[Row]:
    """Return the rows that run on one line."""
    return [row for row in ROWS if row.setup == setup]


def page(found: Mapping[str, float]) -> str:
    """Return docs/faults.md.

    Args:
        found: by row, the seconds that were measured.
    """
    lines = [
        "| fault | made by | affected parts | cause in the journals | rises | shown | back in | protections |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        took = found.get(row.name)
        back = f"{row.back_s:g} s" + ("" if took is None else f" ({took:g} s)")
        cells = (row.name, row.made, row.fate.value, _causes(row), _code(row.rises), _code(row.shows), back)
        lines.append(f"| {' | '.join(cells)} | {', '.join(row.protections)} |")
    lines += ["", "## Protections", "", "Each is taken out by a test, and the row named must turn red.", ""]
    lines += ["| protection | what it is | where | row |", "|---|---|---|---|"]
    lines += [f"| {p.name} | {p.text} | {p.process} | {p.row} |" for p in PROTECTIONS]
    return _HEAD + "\n".join(lines) + "\n"


def _causes(row: Row) -> str:
    if not row.also:
        return _code(row.causes)
    return "<br>".join([*(f"`{text}`" for text in row.causes), f"any of {', '.join(f'`{text}`' for text in row.also)}"])


def _code(texts: tuple[str, ...]) -> str:
    return "<br>".join(f"`{text}`" for text in texts) or "-"
