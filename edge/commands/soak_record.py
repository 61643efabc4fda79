"""Do the journals say what the referee saw?  Every plate that passed must be on record, as itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.clock import NS_PER_MS
from edge.commands.soak_line import TRAVEL_MS
from edge.record.journal.reader import Folder

STATED_LOSS_MS, COMMIT_MS, SLACK_MS = 100.0, 100.0, 20.0
"""What a killed process may not have recorded, by the journal's own word: what it gathered, and the commit under way;
and how exactly the time is known at which a plate met the eye that no journal knows."""

BLIND = frozenset({"starting", "station_and_gateway_killed"})
"""Faults, as the referee knows them, during which nobody is there who could record a plate."""


class Losses:
    """Tells what the journals' stated loss excuses: a plate whose record was due shortly before a process was killed.

    Args:
        t0_ns: by number, when plates met the eye, as far as a journal knows; for others it is interpolated.
        kills: by process, when it was killed, ns.
        travel_ms: from eye to gate.
    """

    def __init__(
        self, t0_ns: Mapping[int, int], kills: Mapping[str, Sequence[int]], travel_ms: float = TRAVEL_MS
    ) -> None:
        self._numbers = sorted(t0_ns)
        self._t0_ns = [t0_ns[number] for number in self._numbers]
        self._kills = kills
        self._before_ns = (travel_ms + STATED_LOSS_MS + COMMIT_MS) * NS_PER_MS  # it was recorded before the gate

    def excuse(self, name: str, number: int) -> bool:
        """True where process ``name`` need not have recorded plate ``number``: it was killed too soon."""
        if not self._numbers:
            return False
        met_ns = float(np.interp(number, self._numbers, self._t0_ns))
        return any(killed - self._before_ns <= met_ns <= killed + SLACK_MS * NS_PER_MS for killed in self._kills[name])


def join(
    plates: Iterable[dict[str, Any]],
    journals: Mapping[str, Path],
    kills: Mapping[str, Sequence[int]],
    travel_ms: float = TRAVEL_MS,
) -> Counter[str]:
    """Count plates by what referee and journals say of them; both sides know a plate by the eye's number.

    Args:
        plates: the referee's records.
        journals: folders of station and gateway.
        kills: by process, when it was killed, ns.
        travel_ms: from eye to gate.

    Returns:
        ``passed``: in the good bin.  ``without_verdict``, ``without_permit``: those of them without a PASS in the
        station's journal or without a permit in the gateway's; ``..._unexcused``: that no kill of it explains.
        ``rejected_yet_passed``: in the good bin though the station's record says otherwise.  ``other_plate``: whose
        record shows another plate's frame.  ``unknown``: met the eye, and neither journal knows of it;
        ``unknown_unexcused``: though one of the two was there.
    """
    parts = {part.number: part for part in Folder(journals["station"]).parts()}
    permitted: dict[int, bool] = {}
    t0_ns: dict[int, int] = {}
    for gate in Folder(journals["gateway"]).gates():
        # One whose writing "failed" may have reached the PLC all the same: no answer came.
        permitted[gate.number] = permitted.get(gate.number, False) or "permit" in gate.facts
        if "counted" in gate.facts:  # a later session may know of its way through the gate alone
            t0_ns[gate.number] = gate.facts["counted"][1]
    losses = Losses(t0_ns | {number: part.t0_ns for number, part in parts.items()}, kills, travel_ms)
    found: Counter[str] = Counter()
    for plate in plates:
        number, part = int(plate["number"]), parts.get(int(plate["number"]))
        if number < 0:
            continue  # the eye gave no edge
        found["plates"] += 1
        unknown = part is None and number not in permitted
        found["unknown"] += unknown
        found["unknown_unexcused"] += unknown and BLIND.isdisjoint(plate["affected"])
        if part is not None and part.tag and part.tag != plate["tag"] and part.outcome != "NO_DECISION":
            found["other_plate"] += 1
        if plate["bin"] == "good":
            found["passed"] += 1
            found["without_verdict"] += part is None
            found["without_verdict_unexcused"] += part is None and not losses.excuse("station", number)
            found["rejected_yet_passed"] += part is not None and part.outcome != "PASS"
            without_permit = not permitted.get(number, False)
            found["without_permit"] += without_permit
            found["without_permit_unexcused"] += without_permit and not losses.excuse("gateway", number)
    return found


def problems(found: Counter[str]) -> list[str]:
    """Return what the journals' stated loss does not explain, in words.

    Args:
        found: from ``join``.
    """
    out = [
        f"{found[name]} plates {text}"
        for name, text in (
            ("rejected_yet_passed", "passed, and the station's journal says that they should not have"),
            ("other_plate", "were decided on another plate's frame, by the station's journal"),
            ("without_verdict_unexcused", "passed without a verdict in the station's journal, and no kill explains it"),
            ("without_permit_unexcused", "passed without a permit in the gateway's journal, and no kill explains it"),
            ("unknown_unexcused", "met the eye, and no journal knows of them though somebody was there to record them"),
        )
        if found[name]
    ]
    if not found["passed"]:
        out.append("no plate passed that the journals could know of")
    return out
