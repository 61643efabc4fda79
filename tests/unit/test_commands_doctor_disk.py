from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path

import pytest

from edge.commands import doctor_disk
from edge.record import qualified

_Disk = namedtuple("_Disk", "total used free")


@pytest.mark.parametrize(("free_mb", "status"), [(1000, "ok"), (999, "warn"), (10, "warn"), (9, "fail")])
def test_room_has_its_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int, status: str) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: _Disk(10**13, 0, free_mb * 1_000_000))
    assert doctor_disk.room("journal", tmp_path / "not" / "yet" / "there").status == status


def test_a_folder_that_may_not_be_looked_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under setpriv HOME is still root's."""
    home = tmp_path / "root"
    home.mkdir()
    inside, real = str(home) + "/", os.stat

    def stat(path: str | Path, *words: object, **named: object) -> os.stat_result:
        if str(path).startswith(inside):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *words, **named)  # type: ignore[arg-type]

    monkeypatch.setattr("os.stat", stat)
    monkeypatch.setattr("os.access", lambda path, _: path != home)
    monkeypatch.setenv("EDGE_STATE", str(home / "state" / "edge"))
    found = doctor_disk.state_folder()
    assert (found.status, found.detail) == ("fail", f"{home} cannot be written")
    assert "set EDGE_STATE" in found.remedy
    assert qualified.read("m") is None


def test_a_disk_is_measured_and_nothing_stays_there(tmp_path: Path) -> None:
    mb_s, sync_ms = doctor_disk.measure(tmp_path)
    assert mb_s > 0
    assert sync_ms > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mb_s", "sync_ms", "status"), [(10.0, 100.0, "ok"), (9.9, 1.0, "warn"), (500.0, 100.1, "warn")]
)
def test_a_slow_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mb_s: float, sync_ms: float, status: str
) -> None:
    monkeypatch.setattr(doctor_disk, "measure", lambda _: (mb_s, sync_ms))
    assert doctor_disk.speed("disk", tmp_path).status == status


def test_the_file_system_of_the_nearest_mount_counts(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 0:1 / / rw - overlay overlay rw\n"
        f"2 1 8:1 / {tmp_path} rw,noatime master:1 - nfs4 server:/data rw\n"
        f"3 1 8:1 / {tmp_path}\\040b rw - ext4 /dev/sda1 rw\n",
        encoding="utf-8",
    )
    deep = tmp_path / "a"
    deep.mkdir()
    assert doctor_disk.file_system(deep, mounts) == "nfs4"
    assert doctor_disk.file_system(Path("/etc"), mounts) == "overlay"
    assert doctor_disk.file_system(deep, tmp_path / "none") == ""
