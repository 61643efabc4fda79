"""The leakage report in Markdown: figures and file names, and not one pixel of the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edge.dataset.audit import MIN_CORRELATION, MIN_PEAK, MIN_SHARE, NEAR_SHARE, Audit, Kind, Pair
from edge.dataset.leakage import Leak
from edge.dataset.naming import series
from edge.dataset.overlap import TURNS, WORKING_PX

_KINDS: tuple[Kind, ...] = ("identical", "near-duplicate", "overlap")
_SHOWN_GROUPS = 10


def render(name: str, audit: Audit, leaks: Sequence[Leak], command: str) -> str:
    """The report of data set `name`.  command: reproduces it."""
    linked = sum(map(len, audit.groups))
    parts = [
        f"# Leakage audit of {name}\n",
        f"{linked:,} of {audit.pictures:,} pictures ({linked / audit.pictures:.0%}) show a piece of surface that\n"
        f"another shows as well. Of {audit.compared:,} pairs with a class in common, {len(audit.pairs):,} overlap.\n",
        f"    {command}\n",
        _splits(leaks),
        _by_series(audit.pairs),
        _distances(audit.pairs),
        _turns(audit.pairs),
        _groups(audit),
        _method(audit),
    ]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"


def _splits(leaks: Sequence[Leak]) -> str:
    rows = [
        (one.called, f"{one.train:.0f}", f"{one.pictures:.0f}", f"{one.leaking:.1f}", f"{one.share:.1%}")
        if one.pictures
        else (one.called, "too small", "", "", "")
        for one in leaks
    ]
    head = ("split", "to train", "to validate", "leaking", "share")
    told = (
        "Means over folds; random: over seeds as well. *Leaking*: pictures to validate of which training shows a piece."
    )
    return f"## What it does to a split\n\n{told}\n\n" + _table(head, rows)


def _by_series(pairs: Sequence[Pair]) -> str:
    counts = Counter((_row(pair), pair.kind) for pair in pairs)
    rows = [
        (row, *(counts[row, kind] for kind in _KINDS), sum(counts[row, kind] for kind in _KINDS))
        for row in sorted({row for row, _ in counts})
    ]
    total = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
    return "## Pairs\n\n" + _table(("series", *_KINDS, "all"), [*rows, ("**all**", *total)] if rows else [])


def _row(pair: Pair) -> str:
    first, second = series(pair.first), series(pair.second)
    return f"{first}*" if first == second else "of two series"


def _distances(pairs: Sequence[Pair]) -> str:
    rows = []
    for row in sorted({_row(pair) for pair in pairs}):
        distances = [pair.distance for pair in pairs if _row(pair) == row and pair.distance is not None]
        if distances:
            quantiles = np.quantile(distances, [0.5, 0.9, 0.99, 1], method="inverted_cdf")
            rows.append((row, *(f"{value:.0f}" for value in quantiles)))
    return "Distance of a pair's numbers:\n\n" + _table(("series", "median", "90 %", "99 %", "largest"), rows)


def _turns(pairs: Sequence[Pair]) -> str:
    counts = Counter((_row(pair), pair.turn) for pair in pairs)
    rows = [
        (row, *(counts[row, turn] for turn in TURNS))
        for row in sorted({row for row, turn in counts if turn != "as it is"})
    ]
    if not rows:
        return "No pair overlaps only after a turn.\n"
    return "Some pictures are turned copies of others, counter-clockwise by degrees:\n\n" + _table(
        ("series", *TURNS), rows
    )


def _groups(audit: Audit) -> str:
    sizes = Counter(len(group) for group in audit.groups)
    told = ", ".join(f"{count} of {size}" for size, count in sorted(sizes.items()))
    rows = [
        (len(group), ", ".join(sorted({series(name) + "*" for name in group})), _span(group))
        for group in audit.groups[:_SHOWN_GROUPS]
    ]
    return (
        f"## Groups\n\nPictures linked by pairs, directly or through others: {told or 'none'}. The largest:\n\n"
        + _table(("pictures", "series", "numbers"), rows)
    )


def _span(group: frozenset[str]) -> str:
    numbers = sorted(int(name[len(series(name)) :]) for name in group if name != series(name))
    return f"{numbers[0]} to {numbers[-1]}" if numbers else ""


def _method(audit: Audit) -> str:
    rows = [
        (n.called, f"{n.pairs:,}", f"{n.highest_peak:.3f}", n.measured, f"{n.highest_correlation:.2f}", n.accepted)
        for n in audit.nulls
    ]
    head = ("pairs that cannot overlap", "pairs", "highest peak", "measured", "highest correlation", "accepted")
    return f"""## How it was measured

1. Identical: the same decoded pixels.
2. All pairs with a class in common, the second picture as it is and turned by 90, 180 and 270 degrees: phase
   correlation at a longest side of {WORKING_PX} px finds the shift. Pairs whose peak reaches {MIN_PEAK} go on.
3. At full size, with slow changes of brightness taken away and contrast made equal everywhere, the stretch in common
   must be at least {MIN_SHARE:.0%} of the picture, and correlate by at least {MIN_CORRELATION}.
   From {NEAR_SHARE:.0%} in common on, a pair is a near-duplicate.

The same steps for pairs that cannot overlap:

{_table(head, rows)}
*Measured*: pairs that came to step 3 and had enough in common. *Accepted*: of these, such as correlate by at least
{MIN_CORRELATION}. Of mirror images these are false alarms. Of pictures without a common class they can be that, or
a surface that was filed under two classes: nearly certainly so where the highest correlation is near 1. Look for it,
since no group above holds such a pair together.

Not found: smaller overlaps, pictures of another scale or turned by other angles, mirror images, and surface that was
taken twice under a light that changes its texture. Of pairs without a common class only the sample above was searched.
"""
