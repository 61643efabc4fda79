"""`edge bench monitor`: its viewers at a real monitor, its targets, and a short run, whose times prove nothing."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from edge import config as cfg
from edge.commands import bench_blocks, bench_monitor
from edge.commands.bench import default_config
from edge.commands.bench_effects import Block, Effect
from edge.commands.bench_monitor import REJECT_EVERY, Watching, rejecting, render
from edge.commands.bench_viewers import VIEWERS, Audience, Condition, Connected, Tally
from edge.errors import EngineError
from edge.record.evidence.picture import sidecar
from edge.record.evidence.store import Entry, Store
from tests import support_evidence as evidence
from tests.support_monitor import Line

WATCHED = Condition.WATCHED


def watching(upper_ms: float = 0.5, page_ms: float = 1000.0, peak_mb: float = 149.9) -> Watching:
    effect = Effect(WATCHED, [0.1] * 7, 0.1, upper_ms, 1.0)
    tally = Tally([100.0, page_ms], states=1, live=1, thumbs=1, scrapes=1)
    return Watching(10.0, effect, [Block(WATCHED, 1, 10.0, 1.0)], tally, 80.0, peak_mb)


def test_each_target_must_be_met() -> None:
    assert watching().holds
    for missed in (watching(upper_ms=0.501), watching(page_ms=1000.1), watching(peak_mb=150.0)):
        assert len(missed.misses) == 1
        assert not missed.holds
        assert missed.misses[0] in render(missed)
    values = json.loads(json.dumps(watching().as_dict()))
    assert (values["added_p99_ms"]["upper_ms"], values["added_p99_ms"]["target_ms"]) == (0.5, 0.5)
    assert (values["page_ms"]["max"], values["memory_mb"]["peak"], values["holds"]) == (1000.0, 149.9, True)


def test_the_engine_rejects_one_part_of_so_many() -> None:
    script = rejecting(3)
    rejected = [bool(script(run).any()) for run in range(3 * REJECT_EVERY)]
    assert sum(rejected) == 3
    assert rejected[REJECT_EVERY - 1]
    assert script(0).shape == (3, 6)
    assert script(0).dtype == np.float32


def test_the_station_of_the_bench_is_read_back_by_the_monitor(tmp_path: Path) -> None:
    made = bench_monitor._in_production(bench_blocks.station_config(default_config(), tmp_path), tmp_path)
    path = tmp_path / "station.toml"
    path.write_text(bench_blocks.toml(made.model_dump(exclude_defaults=True)))
    assert cfg.load(path, cfg.StationConfig) == made


def test_a_monitor_that_does_not_come_up_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("no such key = 1")
    station = bench_blocks.station_config(default_config(), tmp_path)
    with pytest.raises(EngineError, match="is not TOML"), bench_blocks.monitor(station, tmp_path):
        pass


@pytest.fixture
def monitor(tmp_path: Path) -> Line:
    """Return a monitor with one reject's picture."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    store = Store(folder, evidence.quota())
    record = evidence.record(1, wall=datetime.now(timezone.utc).isoformat(timespec="milliseconds"))
    picture, file = evidence.picture("jpeg"), store.place(record, ".jpg")
    store.put(Entry(record, "reject"), file, picture.data, sidecar(record, "reject", (), file, picture, "mono8"))
    store.close()
    return Line(tmp_path, {"evidence": str(folder)})


def test_the_viewers_see_what_a_page_shows(monitor: Line) -> None:
    with contextlib.closing(monitor):
        monitor.monitor.start()
        monitor.connect()
        audience = Audience(monitor.monitor.port)
        audience.come()
        for turn in range(20):
            monitor.publish()
            monitor.tell_live(part=turn)
            time.sleep(0.1)
        monitor.tell_station(state="FAULT")  # an event, at which they look up
        audience.go()
        tally = audience.tally
        assert tally.problems == []
        assert len(tally.pages_ms) == VIEWERS
        assert all(0 < page_ms < 10_000 for page_ms in tally.pages_ms)
        assert tally.thumbs == VIEWERS, "the one reject, and not a second time"
        assert tally.live >= 2 * VIEWERS
        assert tally.states >= 2 * VIEWERS
        assert tally.scrapes >= 2
        audience.go()
        assert len(audience.tally.pages_ms) == VIEWERS, "they are counted once"


def test_an_answer_does_not_wait_for_the_one_who_asks_to_acknowledge_its_beginning(monitor: Line) -> None:
    with contextlib.closing(monitor):
        monitor.monitor.start()
        with contextlib.closing(Connected(monitor.monitor.port)) as connected:
            connected.get("/static/js/api.js")
            times_ms = []
            for _ in range(20):
                began = time.perf_counter()
                connected.get("/static/js/api.js")
                times_ms.append(1000 * (time.perf_counter() - began))
    assert sorted(times_ms)[2] < 30, "Nagle's algorithm holds the body back for 40 ms"


def test_what_viewers_do_not_get_is_told(monitor: Line) -> None:
    with contextlib.closing(monitor):
        monitor.monitor.start()
        with pytest.raises(Exception, match="404"), contextlib.closing(Connected(monitor.monitor.port)) as connected:
            connected.get("/no/such/page")
    audience = Audience(monitor.monitor.port)
    audience.come()
    audience.go()
    assert len(audience.tally.problems) == VIEWERS + 1, "five pages, and the scrape"


@pytest.mark.process
@pytest.mark.timeout(240)
def test_a_short_run() -> None:
    command = [sys.executable, "-m", "edge", "bench", "monitor", "--blocks", "2", "--parts", "60", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    values = json.loads(done.stdout)
    assert len(values["added_p99_ms"]["differences_ms"]) == 2
    assert values["added_p99_ms"]["permitted"] > 0.9
    assert values["received"]["problems"] == []
    assert values["page_ms"]["pages"] == 2 * VIEWERS
