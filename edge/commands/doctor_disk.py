"""What `edge doctor` finds of the folders that a configuration names: rights, room, kind of disk, speed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edge.clock import NS_PER_MS, NS_PER_S, now_ns
from edge.commands.doctor_read import Config
from edge.commands.finding import Finding, Status
from edge.config import MonitorConfig
from edge.config.line import Section
from edge.record.qualified import state_file

FREE_FAIL_MB, FREE_WARN_MB = 10, 1000
SLOW_MB_S = 10.0
"""Pictures as PNG at ten rejects a second are about this much."""
SLOW_SYNC_MS = 100.0
"""A journal commits ten times a second: a disk that takes longer falls behind."""
TRIAL_MB, TRIAL_SYNCS = 8, 8
QUOTA_SHARE = 0.95

MOUNTS = Path("/proc/self/mountinfo")
_VOLATILE = frozenset({"tmpfs", "ramfs"})
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"})


def writable(name: str, folder: Path) -> Finding:
    """Whether this user may make files in ``folder``."""
    if os.access(folder, os.W_OK | os.X_OK):
        return Finding(name, "ok", f"{folder} is writable")
    return Finding(name, "fail", f"{folder} cannot be written", "create it, or give this user the right to write there")


def state_folder() -> Finding:
    """The folder of this machine's measurements."""
    found = room("state folder", state_file().parent)
    return found if found.status == "ok" else replace(found, remedy=f"{found.remedy}, or set EDGE_STATE")


def room(name: str, folder: Path) -> Finding:
    """Whether ``folder``, or the nearest one that holds it, is writable and has room."""
    existing = nearest(folder)
    allowed = writable(name, existing)
    if allowed.status != "ok":
        return allowed
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    status: Status = "fail" if free_mb < FREE_FAIL_MB else "warn" if free_mb < FREE_WARN_MB else "ok"
    return Finding(name, status, f"{folder}, {free_mb} MB free", "" if status == "ok" else "free space")


def nearest(folder: Path) -> Path:
    """Return ``folder``, or the nearest parent that exists.  What this user may not see counts as missing."""
    return next(parent for parent in (folder, *folder.absolute().parents) if os.path.exists(parent))


def examine(path: Path, config: Config) -> Iterator[Finding]:
    """Yield what was found of each folder of ``config``, and of each disk once."""
    seen: set[int] = set()
    for key, folder, quota_gb in named(config):
        name = f"{path}: {key}"
        found = room(name, folder)
        yield found
        if found.status == "fail":
            continue
        existing = nearest(folder)
        yield from _kind(name, existing)
        if quota_gb is not None:
            yield from _quota(name, existing, quota_gb)
        disk = existing.stat().st_dev
        if disk not in seen:
            seen.add(disk)
            yield speed(f"{name}: disk", existing)


def named(config: Config) -> Iterator[tuple[str, Path, float | None]]:
    """Yield each folder that ``config`` makes a process write: its key, itself, and its quota in GB or None."""
    for key in type(config).model_fields:
        section = getattr(config, key)
        if not isinstance(section, Section):
            continue
        values = section.model_dump()
        if values.get("folder") is not None:
            yield f"{key}.folder", Path(values["folder"]), values.get("keep_gb")
        if values.get("record") is not None:
            yield f"{key}.record", Path(values["record"]).parent, None
    if isinstance(config, MonitorConfig) and config.annotations is not None:
        yield "annotations", Path(config.annotations).parent, None


def _quota(name: str, folder: Path, quota_gb: float) -> Iterator[Finding]:
    total_gb = shutil.disk_usage(folder).total / 1e9
    if quota_gb > QUOTA_SHARE * total_gb:
        yield Finding(
            name,
            "warn",
            f"keep_gb = {quota_gb:g}, and the whole disk has {total_gb:.0f} GB: it is full before the quota holds",
            "lower keep_gb, or use a larger disk",
        )


def _kind(name: str, folder: Path) -> Iterator[Finding]:
    kind = file_system(folder)
    if kind in _VOLATILE:
        yield Finding(name, "warn", f"{folder} is {kind}: gone when the machine restarts", "use a folder on a disk")
    elif kind in _REMOTE:
        yield Finding(name, "warn", f"{folder} is {kind}: SQLite needs a local disk", "use a folder on a local disk")
    elif kind == "overlay":
        yield Finding(name, "warn", f"{folder} is in the container: gone with it", "mount a volume there")


def file_system(folder: Path, mounts: Path = MOUNTS) -> str:
    """Return the type of the file system that holds ``folder``, such as ext4; "" where it cannot be told."""
    found = (0, "")
    target = folder.resolve()
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    for line in lines:  # 36 35 98:0 /root /mount rw,noatime master:1 - ext4 /dev/sda1 rw; proc(5)
        mount, _, rest = line.partition(" - ")
        point = Path(mount.split()[4].replace("\\040", " "))
        if point == target or point in target.parents:
            found = max(found, (len(point.parts), rest.split()[0]), key=lambda pair: pair[0])
    return found[1]


def speed(name: str, folder: Path) -> Finding:
    """Write a little to a file without a name, and say how fast that was."""
    try:
        mb_s, sync_ms = measure(folder)
    except OSError as error:
        return Finding(name, "warn", f"{folder} cannot be measured ({error.strerror})", "see the disk and its mount")
    told = f"{mb_s:.0f} MB/s, a synchronised write in {sync_ms:.1f} ms at worst"
    if mb_s >= SLOW_MB_S and sync_ms <= SLOW_SYNC_MS:
        return Finding(name, "ok", told)
    return Finding(
        name,
        "warn",
        f"{told}: below {SLOW_MB_S:g} MB/s or above {SLOW_SYNC_MS:g} ms, rows and pictures are dropped under load",
        "use an SSD or NVMe rather than an SD card or USB stick, and see what else writes (iotop)",
    )


def measure(folder: Path) -> tuple[float, float]:
    """Return MB/s of one longer write with its synchronisation, and the slowest of some short ones in ms.

    Raises:
        OSError: it cannot be written.
    """
    block = os.urandom(1_000_000)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        begun = now_ns()
        for _ in range(TRIAL_MB):
            file.write(block)
        os.fsync(file.fileno())
        mb_s = TRIAL_MB * NS_PER_S / max(1, now_ns() - begun)
        slowest = 0
        for _ in range(TRIAL_SYNCS):
            begun = now_ns()
            file.write(block[:4096])
            os.fdatasync(file.fileno())
            slowest = max(slowest, now_ns() - begun)
    return mb_s, slowest / NS_PER_MS
