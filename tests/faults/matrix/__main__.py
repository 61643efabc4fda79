"""Run rows of the fault matrix by hand, all where none is named.

Usage: python -m tests.faults.matrix [--without PROTECTION | --write] [ROW..]

``--write`` writes down what was measured of green rows, and makes docs/faults.md anew.  Exits with 1 if a row is red.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys

from tests.faults.matrix.row import Row, judge
from tests.faults.matrix.run import Run, measured, run
from tests.faults.matrix.table import MEASURED, PAGE, PROTECTIONS, ROWS, page


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*")
    parser.add_argument("--without", default="", help="a protection to take out")
    parser.add_argument("--write", action="store_true", help="write down what was measured")
    options = parser.parse_args()
    sabotage = {p.process: p.name for p in PROTECTIONS if p.name == options.without}
    rows = [row for row in ROWS if not options.rows or row.name in options.rows]
    found: dict[str, float] = {}
    green: set[str] = set()
    for _, together in itertools.groupby(sorted(rows, key=lambda row: row.setup), lambda row: row.setup):
        chosen = list(together)
        result = run(chosen, sabotage)
        for row in chosen:
            if row.name in result.seen and _tell(row, result):
                green.add(row.name)
        found |= measured(result)
    if options.write:
        known = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
        found = known | {name: seconds for name, seconds in found.items() if name in green}
        found = {row.name: found[row.name] for row in ROWS if row.name in found}
        MEASURED.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        PAGE.write_text(page(found), encoding="utf-8")
    sys.exit(len(green) < len(rows))


def _tell(row: Row, result: Run) -> bool:
    seen = result.seen[row.name]
    stretch = f"parts {seen.first}..{seen.last}, hurt {seen.hurt}, healed {seen.healed}, back in {seen.back_s:.2f} s"
    try:
        judge(seen, result.books)
        print(f"ok   {row.name}: {stretch}", flush=True)
        return True
    except AssertionError as error:
        print(f"RED  {row.name}: {error}\n     {stretch}", flush=True)
        return False


if __name__ == "__main__":
    main()
