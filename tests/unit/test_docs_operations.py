"""docs/operations.md tells operators what to do at each thing that the band can say, in the band's own words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import edge.monitor
from edge.monitor.band import REMEDIES

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
TEXTS: dict[str, str] = json.loads(
    (Path(edge.monitor.__file__).parent / "static" / "i18n" / "en.json").read_text(encoding="utf-8")
)
BENEATH = (".remedy", ".since", ".never")
"""Of texts below the reason."""

REASONS = [
    key for key in TEXTS if key.startswith("reason.") and not key.endswith(BENEATH) and key != "reason.challenge"
]
TASKS = [key for key in TEXTS if key.startswith("challenge_task.")]
"""What the band says while a challenge runs, instead of `reason.challenge`."""


@pytest.mark.parametrize("key", [*REASONS, *TASKS, "challenge.hold", *(f"alarm.{name}.text" for name in REMEDIES)])
def test_what_the_band_says_has_a_row(key: str) -> None:
    said = [row.split("|") for row in PAGE.splitlines() if row.startswith("| **") and TEXTS[key] in row.split("|")[1]]
    assert said, TEXTS[key]
    assert all(len(cells) == 5 and cells[3].strip() for cells in said), "a row without anything to do"


@pytest.mark.parametrize("state", ["RUNNING", "WARNING", "FAULT", "STOPPED", "SILENT"])
def test_each_word_is_explained(state: str) -> None:
    assert f"| **{TEXTS[f'state.{state}']}**" in PAGE
