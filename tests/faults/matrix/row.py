"""What a row of the fault matrix declares, what is seen of it, and the judgement."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from tests.support_line import FENCE_PARTS

if TYPE_CHECKING:
    from tests.faults.matrix.rig import Rig

SETTLED_PARTS = 8
"""Parts between eye and gate, and those whose verdict was on its way, when something is hurt."""

RECOVERY_PARTS = FENCE_PARTS + 10
"""From the first part under a session to the first that passes: the fence, and a run of defective parts behind it."""

LEAST_JUDGED = 5
"""Parts that must have met a fault of which none passes, and good ones that must have met one that harms none."""

SHARE_UNHARMED = 0.8
"""Of the good parts that pass where a fault must harm nobody; the rest is left to a busy machine."""

SHARE_LATER = 0.7
"""Of the good parts that pass once the first has passed after a fault."""


class Fate(str, Enum):
    """What becomes of the parts that a fault meets."""

    REJECTED = "none passes"
    NAMED = "those that the causes name are rejected, the others follow their verdicts"
    UNHARMED = "all follow their verdicts"


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        name: in the words of the design.
        made: how, in words.
        inflict: makes the fault, and returns when it is over (or when it has been mended by hand).
        fate: the referee's finding for the affected parts.  Of the later ones it is always the same: good ones pass.
        causes: that the journals of station and gateway must name for affected parts.
        also: causes that they may name besides, with ``Fate.NAMED``: where a part lies when a session ends decides.
        rises: samples of `/metrics` that must rise, as ``name{labels}``.
        shows: lines of `/metrics` that must be seen while the fault lasts, and gone after it; ``up 0.0`` is the
            monitor itself, that does not answer.
        back_s: longest time from the end of the fault to the first honoured permit.
        least, most: how many parts these must and may name, with ``Fate.NAMED``.
        protections: what carries it; each is taken out by a test where it can be.
        setup: name of the line that it is run on, of ``rig.SETUPS``.
    """

    name: str
    made: str
    inflict: Callable[[Rig], None]
    fate: Fate
    causes: tuple[str, ...]
    rises: tuple[str, ...]
    shows: tuple[str, ...]
    back_s: float
    protections: tuple[str, ...]
    least: int = 1
    most: int = 0
    also: tuple[str, ...] = ()
    setup: str = "line"


@dataclass
class Seen:
    """What was seen of a row while it ran.

    Attributes:
        row: of which.
        first, last: the parts of its stretch; all have met the gate.
        hurt, healed: last part that was counted when the fault began, and when it was over.
        back_s: from the end of the fault to the first honoured permit, infinite where none came.
        lines: of `/metrics`, from the begin of the fault to the end of the stretch.
        standing: those of ``row.shows`` that did not go.
        risen: by sample of `/metrics`, how much it rose.
        problem: what went wrong already while it ran.
    """

    row: Row
    first: int
    hurt: int = 0
    healed: int = 0
    last: int = 0
    back_s: float = math.inf
    lines: frozenset[str] = frozenset()
    standing: tuple[str, ...] = ()
    risen: dict[str, float] = field(default_factory=dict)
    problem: str = ""

    @property
    def met(self) -> range:
        """Parts that the fault may have met, those on the belt when it began included."""
        return range(self.hurt + 1 - SETTLED_PARTS, self.last + 1)

    @property
    def around(self) -> range:
        """Those that were on the belt when it began, while it lasted, or when it was over."""
        return range(self.hurt + 1 - SETTLED_PARTS, min(self.healed + SETTLED_PARTS, self.last) + 1)


@dataclass(frozen=True)
class Books:
    """What referee and journals say when the line has ended.

    Attributes:
        summary: of the referee.
        plates: the referee's record of each part, by number.
        uncounted: its records of plates that raised no edge, and so have no number.
        causes: that the journals of station and gateway name, by part.
        in_session: parts whose verdict the gateway answered.
        reconciled: what `edge journal reconcile` said where a remainder was left, or "".
    """

    summary: dict[str, Any]
    plates: dict[int, dict[str, Any]]
    uncounted: list[dict[str, Any]]
    causes: dict[int, set[str]]
    in_session: set[int]
    reconciled: str

    def passed(self, numbers: Iterable[int]) -> list[int]:
        """Return those of ``numbers`` that lie in the good bin."""
        return [n for n in numbers if n in self.plates and self.plates[n]["bin"] == "good"]

    def good(self, numbers: Iterable[int]) -> list[int]:
        """Return those of ``numbers`` that have no defect."""
        return [n for n in numbers if n in self.plates and self.plates[n]["defective"] is False]

    def share_passed(self, numbers: Iterable[int]) -> float:
        """Return the share of the good parts among ``numbers`` that passed; 1 where there are none."""
        good = self.good(numbers)
        return len(self.passed(good)) / len(good) if good else 1.0


def judge(seen: Seen, books: Books) -> None:
    """Compare what was seen with what the row declares.

    Raises:
        AssertionError: the first difference, in words.
    """
    assert not seen.problem, seen.problem
    _judge_places(seen, books)
    _judge_affected(seen, books)
    _judge_signs(seen, books)
    _judge_recovery(seen, books)
    _judge_verdicts(seen, books)


def _judge_places(seen: Seen, books: Books) -> None:
    stretch = [books.plates[n] for n in range(seen.first, seen.last + 1) if n in books.plates]
    assert not [p["number"] for p in stretch if p["escaped"]], "a part is in the good bin without a permit"
    assert not [p["number"] for p in stretch if p["wrong_part"]], "a part's bin followed another part's frame"


def _judge_affected(seen: Seen, books: Books) -> None:
    row, affected = seen.row, seen.around if seen.row.fate is Fate.UNHARMED else range(seen.hurt + 1, seen.healed + 1)
    if row.fate is Fate.REJECTED:
        judged = [n for n in range(seen.hurt + SETTLED_PARTS + 1, seen.healed) if n in books.plates]
        assert not books.passed(judged), f"parts {books.passed(judged)} went through in mid-fault"
        assert len(judged) >= LEAST_JUDGED, f"only {len(judged)} parts came while the fault lasted"
        assert books.good(judged), "no good part came while the fault lasted: that none passed proves nothing"
        return
    words = {*row.causes, *row.also}
    share = books.share_passed(n for n in affected if not books.causes.get(n, set()) & words)
    assert share >= SHARE_UNHARMED, f"only {share:.0%} of the good parts that the fault must not harm passed"
    named = [n for n in seen.met if books.causes.get(n, set()) & words]
    if row.fate is Fate.UNHARMED:
        assert len(books.good(affected)) >= LEAST_JUDGED, f"only {len(books.good(affected))} good parts met the fault"
    else:
        assert len(named) >= row.least, f"only {len(named)} parts have a cause of {words}"
        assert len(named) <= row.most, f"{len(named)} parts have a cause of {words}, not {row.most} at most"
        assert not books.passed(named), f"parts {books.passed(named)} passed in spite of their cause"


def _judge_signs(seen: Seen, books: Books) -> None:
    row = seen.row
    named = set().union(*(books.causes.get(n, set()) for n in seen.met))
    assert set(row.causes) <= named, f"no part has cause {set(row.causes) - named}; there are {named}"
    still = [name for name in row.rises if seen.risen.get(name, 0) <= 0]
    assert not still, f"{still} did not rise; {_strip_zero(seen.risen)} did"
    unseen = [line for line in row.shows if line not in seen.lines]
    assert not unseen, f"{unseen} was never shown; {_alike(unseen, seen.lines)} was"
    assert not seen.standing, f"{seen.standing} is still shown after the fault"


def _judge_recovery(seen: Seen, books: Books) -> None:
    assert seen.back_s <= seen.row.back_s, f"the first permit came {seen.back_s:.1f} s after the fault"
    later = range(seen.healed + 1, seen.last + 1)
    passed = books.passed(later)
    assert passed, "no part passes after the fault"
    # How long a process takes to start depends on the machine; from its first session on, it is the fence that counts.
    in_session = min((n for n in later if n in books.in_session), default=seen.last)
    assert passed[0] <= in_session + RECOVERY_PARTS, f"the first to pass is {passed[0] - in_session} after the session"
    share = books.share_passed(range(passed[0], seen.last + 1))
    assert share >= SHARE_LATER, f"only {share:.0%} of the good parts after the fault passed"


def _judge_verdicts(seen: Seen, books: Books) -> None:
    stretch = [books.plates[n] for n in range(seen.first, seen.last + 1) if n in books.plates]
    unasked = [p["number"] for p in stretch if p["unasked"]]
    assert not unasked, f"parts {unasked} passed that the station did not pass by their own frames"
    outside = [p for p in stretch if not seen.hurt - SETTLED_PARTS < p["number"] <= seen.healed]
    by_rule = [p for p in outside if p["outcome"] == "REJECT" and p["bin"] == "reject"]
    assert by_rule, "no part was rejected by its own rule outside the fault: passing everything proves nothing"


def _strip_zero(risen: dict[str, float]) -> dict[str, float]:
    return {name: by for name, by in risen.items() if by > 0 and "_bucket" not in name}


def _alike(unseen: list[str], lines: Iterable[str]) -> list[str]:
    names = tuple(line.partition("{")[0].split()[0] for line in unseen)
    return sorted(line for line in lines if line.startswith(names))
