"""The gallery over HTTP: real pictures in a real index; ten thousand of them stay quick."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from edge.monitor.web import thumbs
from edge.record.evidence.picture import Encoded, sidecar
from edge.record.evidence.store import Entry, Store
from edge.wire.messages import FindingRecord
from tests import support_evidence as evidence
from tests.support_monitor import Line

PICTURES = 8
FIRST_MS = int(evidence.WALL.timestamp() * 1000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    store = Store(folder, evidence.quota())
    for n in range(PICTURES):
        evidence.put(store, evidence.record(n, evidence.LOST if n == 3 else evidence.REJECT, minutes=n))
    store.close()
    return folder


@pytest.fixture
def line(tmp_path: Path, folder: Path) -> Iterator[Line]:
    line = Line(tmp_path, {"evidence": str(folder)})
    line.monitor.start()
    yield line
    line.close()


def test_pictures_come_newest_first_and_page_by_page(line: Line) -> None:
    first = line.get("/api/pictures?limit=5")
    assert [p["part"] for p in first["pictures"]] == [7, 6, 5, 4, 3]
    assert first["more"] is True
    assert first["classes"] == ["scratch"]
    rest = line.get(f"/api/pictures?limit=5&before={first['pictures'][-1]['id']}")
    assert [p["part"] for p in rest["pictures"]] == [2, 1, 0]
    assert rest["more"] is False


def test_a_picture_says_what_it_shows(line: Line) -> None:
    told = line.get("/api/pictures?limit=2")["pictures"][1]
    assert (told["session"], told["part"], told["outcome"], told["cause"]) == (7, 6, "REJECT", "rule")
    assert (told["cls"], told["score"], told["rule"]) == ("scratch", 0.9, "any defect")
    assert told["size_px"] == [10, 6]
    assert told["mark"] is None


@pytest.mark.parametrize(
    ("query", "parts"),
    [
        ("outcome=NO_DECISION", [3]),
        ("cls=scratch&limit=2", [7, 6]),
        ("cls=pit", []),
        ("reason=near", []),
        (
            f"since={int(evidence.WALL.timestamp() * 1000)}&until={int(evidence.WALL.timestamp() * 1000) + 60_001}",
            [1, 0],
        ),
    ],
)
def test_pictures_are_filtered(line: Line, query: str, parts: list[int]) -> None:
    assert [p["part"] for p in line.get(f"/api/pictures?{query}")["pictures"]] == parts


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "since=-1", "before=1e3", "cls=" + "x" * 300])
def test_a_query_out_of_bounds_is_refused(line: Line, query: str) -> None:
    reply = line.browser().get(f"/api/pictures?{query}")
    assert (reply.status, reply.json["error"]) == (400, "value")


def test_a_picture_is_served_whole_and_small(line: Line) -> None:
    told = line.get("/api/pictures?limit=2")["pictures"][1]
    whole = line.browser().get(told["url"])
    assert whole.headers["content-type"] == "image/png", "as it lies there, whatever the address says"
    assert Image.open(io.BytesIO(whole.body)).size == (32, 24)
    small = line.browser().get(told["thumb"])
    assert small.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(small.body)).size == (32, 24)
    assert "max-age" in small.headers["cache-control"]
    for path in ("/pictures/999999.jpg", "/pictures/0.jpg", "/pictures/x.jpg"):
        assert line.browser().get(path).status == 404


def test_thumbnails_are_small_and_kept_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbs, "KEPT", 3)
    path = tmp_path / "p.jpg"
    path.write_bytes(evidence.picture("jpeg", shape=(1024, 1280)).data)
    made = thumbs.Thumbs()
    for n in range(5):
        data = made.get((n, 0), path)
        assert Image.open(io.BytesIO(data)).size == (320, 256)
    assert list(made._known) == [(n, 0) for n in (2, 3, 4)]
    path.unlink()
    assert made.get((4, 0), path) == data
    with pytest.raises(FileNotFoundError):
        made.get((0, 0), path)


def test_ten_thousand_rejects_stay_quick(tmp_path: Path) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    store = Store(folder, evidence.quota())
    many(store, 10_000, evidence.picture("jpeg", shape=(64, 64)))
    store.close()
    line = Line(tmp_path, {"evidence": str(folder)})
    line.monitor.start()
    try:
        line.get("/api/pictures")
        times, before = [], ""
        for query in ("outcome=REJECT", "cls=class-3", "cls=class-3&outcome=REJECT&reason=reject", "", ""):
            start = time.perf_counter()
            told = line.get(f"/api/pictures?{query}{before}")
            times.append(time.perf_counter() - start)
            assert len(told["pictures"]) == 60, query
            before = f"&before={told['pictures'][-1]['id']}"
        assert sorted(times)[2] < 0.25, times
        deep = line.get("/api/pictures?until=1795330000000&outcome=REJECT")
        assert deep["more"] is True
    finally:
        line.close()


def many(store: Store, number: int, picture: Encoded) -> None:
    """Fill a folder as its writer would; only the newest have files, as those of the others are not asked for."""
    rows = []
    for n in range(number):
        findings = [FindingRecord(f"class-{n % 10}", 0.5, evidence.BOX)]
        entry = Entry(evidence.record(n, minutes=n / 60, findings=findings), "reject")
        file = store.place(entry.record, picture.suffix)
        if n >= number - 60:
            store.put(entry, file, picture.data, sidecar(entry.record, "reject", (), file, picture, "mono8"))
        else:
            rows.append(entry.row(file, 4096))
    columns = ",".join("?" * len(rows[0]))
    store._connection.execute("BEGIN")
    store._connection.executemany(f"INSERT INTO pictures VALUES (NULL, {columns})", rows)
    store._connection.execute("COMMIT")
