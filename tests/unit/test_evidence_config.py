"""What `[evidence]` takes and refuses, and what a station opens for it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
import zmq

from edge.config import StationConfig, parse
from edge.core.pool import Purpose
from edge.errors import ConfigError, PortBusy
from edge.record.evidence.reader import Evidence
from edge.station.evidence import opened
from edge.station.sizing import EVIDENCE_SLOTS, frame_pool
from tests.support_evidence import closed, record, wait_until


def station(**evidence: Any) -> StationConfig:
    values = {"recipe": {"name": "r", "rules": [{"name": "any"}]}, "camera": {"width": 32, "height": 24}}
    return parse({**values, "evidence": evidence}, StationConfig, "test")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("keep_days", 0),
        ("keep_gb", 0.0),
        ("free_gb", -0.1),
        ("near", 1.1),
        ("sample_share", -0.1),
        ("format", "bmp"),
        ("quality", 29),
        ("live_per_s", 5.1),
        ("live", "tcp://0.0.0.0:5000"),
        ("live", "tcp://192.168.1.2:5000"),
        ("mode", "rw"),
        ("folders", "/tmp"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"evidence\.{key}|{key}|live"):
        station(**{key: value})


def test_live_pictures_stay_on_the_host() -> None:
    for endpoint in ("ipc:///run/edge/live", "tcp://127.0.0.1:5000", "tcp://[::1]:5000"):
        assert station(live=endpoint).evidence.live == endpoint


def test_without_a_folder_and_a_socket_nothing_is_opened() -> None:
    config = station()
    before = threading.active_count()
    with zmq.Context[Any]() as context, opened(config, frame_pool(config), context) as evidence:
        assert evidence is None
        assert threading.active_count() == before


def test_a_folder_is_opened_and_everything_is_given_back(tmp_path: Path) -> None:
    config = station(folder=str(tmp_path / "e"), live=f"ipc://{tmp_path}/live", free_gb=0.0)
    pool = frame_pool(config)
    before = threading.active_count()
    with zmq.Context[Any]() as context, opened(config, pool, context, lambda number: number == 5) as evidence:
        assert evidence is not None
        for number in range(EVIDENCE_SLOTS):
            lease = pool.lease(Purpose.CAPTURE)
            assert lease is not None
            part = closed(number + 2)
            assert evidence.keep(lease, part)
            evidence.recorded(part, record(number + 2))
    assert pool.occupancy()["free"] == pool.slots
    wait_until(lambda: threading.active_count() == before)
    reader = Evidence(tmp_path / "e")
    assert [(p.part, p.reason) for p in reader.search()] == [
        (5, "challenge"), (4, "reject"), (3, "reject"), (2, "reject")
    ]  # fmt: skip
    reader.close()


def test_the_threads_priority_is_behind_those_that_decide(tmp_path: Path) -> None:
    config = station(folder=str(tmp_path))
    with zmq.Context[Any]() as context, opened(config, frame_pool(config), context):
        thread = next(thread for thread in threading.enumerate() if thread.name == "evidence")
        wait_until(lambda: os.sched_getscheduler(thread.native_id or 0) != os.sched_getscheduler(0))
        assert os.sched_getscheduler(thread.native_id or 0) == os.SCHED_BATCH, "this process is no real-time one"


def test_a_socket_or_folder_in_use_is_told_and_nothing_stays_open(tmp_path: Path) -> None:
    config = station(folder=str(tmp_path / "e"), live=f"ipc://{tmp_path}/live")
    other = station(folder=str(tmp_path / "e"), live=f"ipc://{tmp_path}/other")
    with zmq.Context[Any]() as context, opened(config, frame_pool(config), context):
        with pytest.raises(PortBusy), opened(config, frame_pool(config), context):
            pass
        with pytest.raises(ConfigError, match="another process"), opened(other, frame_pool(other), context):
            pass
    # a context that cannot end would hang here: every socket is closed
