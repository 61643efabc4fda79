"""Do the journals say what the referee saw?  Every plate that passed must be on record, as itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge.record.journal.reader import Folder

STATED_LOSS_S = 0.1
"""What a killed process may not have recorded, by the journal's own word; the journal gathers for less."""


def join(plates: Iterable[dict[str, Any]], station: Path, gateway: Path) -> Counter[str]:
    """Count plates by what referee and journals say of them; both sides know a plate by the eye's number.

    Args:
        plates: the referee's records.
        station, gateway: folders of the journals.

    Returns:
        ``passed``: in the good bin.  ``without_verdict``, ``without_permit``: those of them without a PASS in the
        station's journal or without a permit in the gateway's.  ``rejected_yet_passed``: in the good bin though
        the station's record says otherwise.  ``other_plate``: whose record shows another plate's frame.
        ``unknown``: met the eye, and neither journal knows of it.
    """
    parts = {part.number: part for part in Folder(station).parts()}
    permitted: dict[int, bool] = {}
    for gate in Folder(gateway).gates():
        written = "permit" in gate.facts and gate.facts["permit"][0] != "failed"
        permitted[gate.number] = permitted.get(gate.number, False) or written
    found: Counter[str] = Counter()
    for plate in plates:
        number, part = int(plate["number"]), parts.get(int(plate["number"]))
        if number < 0:
            continue  # the eye gave no edge
        found["plates"] += 1
        found["unknown"] += part is None and number not in permitted
        if part is not None and part.tag and part.tag != plate["tag"] and part.outcome != "NO_DECISION":
            found["other_plate"] += 1
        if plate["bin"] == "good":
            found["passed"] += 1
            found["without_verdict"] += part is None
            found["rejected_yet_passed"] += part is not None and part.outcome != "PASS"
            found["without_permit"] += not permitted.get(number, False)
    return found


def problems(found: Counter[str], killed: int, rate: float) -> list[str]:
    """Return what the journals' stated loss does not explain, in words.

    Args:
        found: from ``join``.
        killed: how often station or gateway ended without notice.
        rate: parts a second.
    """
    excused = killed * (STATED_LOSS_S * rate + 1)
    out = [
        f"{found[name]} plates {text}"
        for name, text in (
            ("rejected_yet_passed", "passed, and the station's journal says that they should not have"),
            ("other_plate", "were decided on another plate's frame, by the station's journal"),
        )
        if found[name]
    ]
    for name, text in (
        ("without_verdict", "passed without a verdict in the station's journal"),
        ("without_permit", "passed, and the gateway's journal knows of no permit"),
    ):
        if found[name] > excused:
            out.append(f"{found[name]} plates {text}; {killed} sudden ends excuse {excused:.0f}")
    if not found["passed"]:
        out.append("no plate passed that the journals could know of")
    return out
