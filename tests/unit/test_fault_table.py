"""The table of faults: complete, of one piece with the metrics that there are, and with the page made from it."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from edge.core.outcome import CAUSES
from edge.monitor.metric_table import METRICS, REJECTED_CAUSES, VOIDED_CAUSES
from tests.faults.matrix.books import NO_SESSION
from tests.faults.matrix.row import Fate, Row
from tests.faults.matrix.table import MEASURED, PAGE, PROTECTIONS, ROWS, page

DESIGN = """
station killed / station stopped / hung engine / engine exception / non-finite output / camera unplugged /
frame-counter gap / trigger without frame / frame without trigger / short frame / corrupt frame / pool exhausted /
verdict late / verdict duplicated / verdict reordered / verdict for an unknown part / gateway killed /
gateway stopped / gateway restarted / network cut and healed / PLC unreachable / PLC slow / PLC refusing /
PLC in STOP / PLC rebooted / encoder frozen / encoder wrapped / encoder jumping / eye blocked / eye bouncing /
journal disk full / journal disk stalled / evidence disk full / monitor hung / wall clock stepped / belt stopped /
belt reversed / belt speed doubled / bad config / corrupt model / all processes killed
"""


def test_every_fault_of_the_design_has_a_row() -> None:
    names = Counter(row.name for row in ROWS)
    assert {name.strip() for name in DESIGN.replace("\n", " ").split("/")} <= names.keys()
    assert max(names.values()) == 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_names_what_there_is(row: Row) -> None:
    known = {metric.name for metric in METRICS} | {"up"}
    named = {re.split(r"[{ ]", text)[0] for text in (*row.rises, *row.shows)}
    assert named <= known
    assert row.rises, "a fault that no metric shows goes unnoticed"
    assert all(name.partition("{")[0].endswith("_total") for name in row.rises), "a gauge rises and falls"
    assert row.fate is not Fate.NAMED or row.least <= row.most, "how many parts a fault may cost is part of its row"
    if row.name.startswith("journal disk"):
        assert {line for line in row.shows if 'alarm="journal"' in line}, "a journal in trouble raises its alarm"
    assert row.protections
    assert set(row.protections) <= {p.name for p in PROTECTIONS}


def test_a_row_has_a_sign_or_harms_nobody() -> None:
    assert [row.name for row in ROWS if not (row.causes or row.also or row.shows) and row.fate.name != "UNHARMED"] == []


def test_each_protection_is_named_by_the_row_that_it_carries() -> None:
    rows = {row.name: row for row in ROWS}
    for protection in PROTECTIONS:
        assert protection.name in rows[protection.row].protections, protection.name


def test_every_row_was_measured() -> None:
    assert json.loads(MEASURED.read_text(encoding="utf-8")).keys() == {row.name for row in ROWS}


def test_the_page_is_made_from_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(json.loads(MEASURED.read_text(encoding="utf-8")))


def test_causes_are_words_of_station_or_gateway() -> None:
    of_gateway = {*REJECTED_CAUSES, *VOIDED_CAUSES, NO_SESSION}
    for row in ROWS:
        odd = {*row.causes, *row.also} - CAUSES.keys() - of_gateway
        assert not odd, (row.name, odd)
