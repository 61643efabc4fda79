"""How much memory is left: by the machine, and by the container."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import EngineError
from edge.station import memory
from edge.station.memory import MB, available, check_room, resident


def group(folder: Path, limit: str, used: int, cached: int = 0) -> None:
    """Make a control group."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\nfile {2 * cached}\ninactive_file {cached}\nactive_file {cached}\n")


def told(folder: Path, free_kb: int, limit: str | None = None, used: int = 0, cached: int = 0, own: str = "/") -> int:
    (folder / "meminfo").write_text(f"MemTotal:       16000000 kB\nMemAvailable:   {free_kb} kB\n")
    (folder / "own").write_text(f"4:memory:/of version 1\n0::{own}\n")
    if limit is not None:
        group(folder, limit, used, cached)
    return available(folder / "meminfo", folder, folder / "own")


def test_the_tighter_of_machine_and_container_counts(tmp_path: Path) -> None:
    assert told(tmp_path, 2048) == 2 * MB
    assert told(tmp_path, 2048, "max") == 2 * MB
    assert told(tmp_path, 2048, str(3 * MB), 2 * MB) == MB
    assert told(tmp_path, 2048, str(MB), 2 * MB) == 0
    assert told(tmp_path, 512, str(9 * MB), MB) == 512 * 1024


def test_what_is_only_cached_is_not_in_use(tmp_path: Path) -> None:
    assert told(tmp_path, 9 * 1024, str(4 * MB), 4 * MB, cached=3 * MB) == 3 * MB


def test_the_group_of_the_service_counts_with_those_around_it(tmp_path: Path) -> None:
    group(tmp_path / "system.slice" / "edge.service", str(5 * MB), MB)
    assert told(tmp_path, 9 * 1024, own="/system.slice/edge.service") == 4 * MB
    group(tmp_path / "system.slice", str(3 * MB), 2 * MB)
    assert told(tmp_path, 9 * 1024, own="/system.slice/edge.service") == MB
    assert told(tmp_path, 9 * 1024, own="/other.slice") == 9 * MB


def test_room_is_refused_from_one_megabyte_too_few_on(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = memory.LEAST_MB + memory.PER_MODEL_BYTE * 3
    monkeypatch.setattr(memory, "available", lambda: needed * MB)
    check_room(3 * MB)
    monkeypatch.setattr(memory, "available", lambda: needed * MB - 1)
    with pytest.raises(EngineError, match=f"{needed} MB are needed.*{needed - 1} MB are available"):
        check_room(3 * MB)


def test_this_process_has_memory() -> None:
    assert resident() > MB
    assert available() > MB
