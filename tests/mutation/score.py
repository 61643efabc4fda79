"""Print how many mutants of each module of the core the tests find, and hold the share and the list of survivors.

Run by `make mutation`, after mutmut.  Exits 1 where too few are found, or where survivors.md names others than live.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

LEAST = 0.95
MUTANTS = Path("mutants/edge/core")
LISTED = Path(__file__).parent / "survivors.md"
FAILED, TIMED_OUT = {1, 3}, {24, -24, 36, 152, 255}
"""Exit codes that mutmut notes of tests which found the mutant: they failed, or no longer came to an end."""


def main() -> int:
    """Return the exit code."""
    counts: dict[str, Counter[str]] = {}
    alive: set[str] = set()
    for meta in sorted(MUTANTS.glob("*.py.meta")):
        results: dict[str, int | None] = json.loads(meta.read_text())["exit_code_by_key"]
        if unfinished := [name for name, code in results.items() if code is None]:
            print(f"{unfinished[0]} was not run; end the run of mutmut first.")
            return 1
        living = {name for name, code in results.items() if code not in FAILED | TIMED_OUT}
        alive |= living
        counts[meta.name.removesuffix(".py.meta")] = Counter(mutants=len(results), killed=len(results) - len(living))
    total = sum(counts.values(), Counter[str]())
    print("| module | mutants | killed | share |\n|---|---|---|---|")
    for name, count in [*counts.items(), ("**core**", total)]:
        if count["mutants"]:
            share = count["killed"] / count["mutants"]
            print(f"| {name} | {count['mutants']} | {count['killed']} | {share:.1%} |")
    listed = set(re.findall(r"`(edge\.core\.[^`]*__mutmut_\d+)`", LISTED.read_text()))
    for name in sorted(alive - listed):
        print(f"survives, and {LISTED.name} gives no reason: {name}  (mutmut show {name})")
    for name in sorted(listed - alive):
        print(f"{LISTED.name} lists what does not survive: {name}")
    return int(total["killed"] < LEAST * total["mutants"] or alive != listed)


if __name__ == "__main__":
    sys.exit(main())
