"""The dashboards as files: what Grafana needs of them, and what a reader does."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.support_prometheus import DASHBOARDS, DEPLOY, KNOWN, WATCHERS, dashboards, load_yaml, metrics, queries

BOARDS = dashboards()
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
UNITS = {"short", "s", "percentunit", "bytes", "celsius", "rotmhz"}
KINDS = {"stat", "timeseries", "state-timeline", "table", "heatmap", "bargauge"}
GRAFANA = DEPLOY / "grafana"


def test_the_six_dashboards_are_there() -> None:
    assert BOARDS.keys() == {"fleet", "line", "latency", "causes", "gateway", "health"}
    assert len({board["uid"] for board in BOARDS.values()}) == len({board["title"] for board in BOARDS.values()}) == 6


def test_the_shipped_files_are_what_the_builder_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-B", str(GRAFANA / "build.py"), str(tmp_path)], check=True)
    for path in (*tmp_path.iterdir(), *DASHBOARDS.iterdir()):
        made, shipped = tmp_path / path.name, DASHBOARDS / path.name
        assert made.read_text() == shipped.read_text(), f"{path.name}: run python deploy/grafana/build.py"


@pytest.mark.parametrize("name", BOARDS)
def test_panels_have_numbers_of_their_own_and_do_not_overlap(name: str) -> None:
    panels = BOARDS[name]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart |= one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart, (one, other)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["type"] in KINDS
    assert panel["title"][0].isupper()
    assert len(panel["description"]) > 7
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["targets"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps[0]["value"] is None
    values = [step["value"] for step in steps[1:]]
    assert values == sorted(values)


@pytest.mark.parametrize("name", BOARDS)
def test_titles_within_a_dashboard_are_unlike(name: str) -> None:
    titles = [panel["title"] for panel in BOARDS[name]["panels"] if panel["type"] != "row"]
    assert len(titles) == len(set(titles))


@pytest.mark.parametrize("name", BOARDS)
def test_every_query_reads_metrics_that_exist_and_one_line(name: str) -> None:
    for query in queries(BOARDS[name]):
        named = metrics(query)
        assert named
        assert named <= KNOWN | WATCHERS, named - KNOWN - WATCHERS
        if name != "fleet" and named & KNOWN:
            assert 'line="$line"' in query, query


def test_every_metric_but_the_identity_of_the_gateway_is_shown_somewhere() -> None:
    shown = set().union(*(metrics(query) for board in BOARDS.values() for query in queries(board)))
    assert KNOWN - shown == {"edge_gateway_info"}


def test_the_provisioned_source_is_the_one_that_the_panels_name() -> None:
    sources = load_yaml(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    known = {source["uid"] for source in sources}
    for board in BOARDS.values():
        named = [board["templating"]["list"], board["annotations"]["list"], board["panels"]]
        assert {one["datasource"]["uid"] for group in named for one in group if one.get("type") != "row"} <= known
    assert [source["uid"] for source in sources if source.get("isDefault")] == ["edge-prometheus"]
