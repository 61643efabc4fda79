"""What a station that starts again must fear of the challenges before."""

from __future__ import annotations

from edge.core.challenge import Result
from edge.core.challenge_judge import FAULTS
from edge.record.challenge_archive import Archive

_HOLD = "HOLD what has passed since the last challenge that was passed."
_UNTRUSTED = "The records of challenges cannot be trusted, and an escape may have been among them: "
_WAY_OUT = "Then make a challenge: docs/challenge.md."
_AT_START = {
    Result.ESCAPED.value: f"{_HOLD} Find the piece on the good side.",
    Result.INTERRUPTED.value: f"{FAULTS['interrupted'].text} {FAULTS['interrupted'].remedy}",
    Result.FAILED.value: "Mend the cause, and repeat it.",
}
"""In words, by how bad it is, the worst first."""


def doubt(archive: Archive) -> tuple[str, str]:
    """Return what may have come of the challenges since the last one that was passed.

    A record that is damaged, forged or gone may have told of an escape; one that has no end may have left pieces on the
    belt and in the good stream.  Both count until a challenge is passed.

    Returns:
        What may have escaped, and what failed; in words, "" for nothing.
    """
    if archive.problems:
        more = f" ({len(archive.problems) - 1} more)" if len(archive.problems) > 1 else ""
        return f"{_UNTRUSTED}{archive.problems[0]}{more} {_HOLD} {_WAY_OUT}", ""
    results = {*archive.since_passed, *((Result.INTERRUPTED.value,) if archive.is_open else ())}
    worst = next((result for result in _AT_START if result in results), "")
    words = f"The last one, before the station's start: {worst}. {_AT_START[worst]}" if worst else ""
    return ("", words) if worst == Result.FAILED.value else (words, "")
