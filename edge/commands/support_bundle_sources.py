"""What goes into a support bundle, one function a kind.  Each adds what it finds, and says what it could not get."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import distributions
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import zmq

from edge import __version__
from edge.commands import doctor
from edge.commands.doctor_alive import fetch
from edge.commands.support_bundle_archive import Archive, Request
from edge.config import MonitorConfig, StationConfig
from edge.errors import EdgeError
from edge.record.journal.reader import Folder
from edge.record.journal.records import Filter

TRACES = 5
"""Newest traces of a folder."""
CHALLENGES = 20
"""Newest records of a folder."""
PICTURES = 50
"""Newest pictures, and where none are asked for, newest sidecars."""
MOST_ROWS = 500_000
_ANSWER_S = 5.0
_LOG_S = 30.0
_OS_FILES = ("/etc/os-release", "/etc/nv_tegra_release", "/proc/cmdline", "/proc/meminfo", "/proc/cpuinfo")


def versions(archive: Archive, _: Request) -> None:
    """Which software, on which machine."""
    archive.json("versions.json", {
        "edge": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "libzmq": zmq.zmq_version(),
        "distributions": dict(sorted((d.metadata["Name"], d.version) for d in distributions())),
    })  # fmt: skip
    for file in map(Path, _OS_FILES):
        if file.exists():
            archive.file(f"system/{file.name}", file)


def configs(archive: Archive, request: Request) -> None:
    """The files as they are, and the package's manifest that a station's names."""
    for name, path, config in request.configs:
        archive.file(f"config/{name}", path)
        if isinstance(config, StationConfig):
            package = Path(config.model.package)
            archive.file(f"model/{package.name}/manifest.toml", package / "manifest.toml")


def examination(archive: Archive, request: Request) -> None:
    """What `edge doctor` says, as text and as JSON; a line that runs keeps its camera and its PLC to itself."""
    findings = doctor.examine([path for _, path, _ in request.configs], spare=True)
    archive.add("doctor.txt", doctor.render(findings).encode())
    archive.json("doctor.json", doctor.as_dict(findings))


def logs(archive: Archive, request: Request) -> None:
    """The units' log and the kernel's, from the system's journal, and files that were named."""
    since = f"@{request.since_ms // 1000}"
    if shutil.which("journalctl") is None:
        archive.left_out("logs", "there is no journalctl; name log files with --log")
    else:
        for name, chosen in (("edge.txt", ["--unit", "edge-*"]), ("kernel.txt", ["--dmesg"])):
            _journalctl(archive, f"logs/{name}", [*chosen, "--since", since])
    for file in request.logs:
        archive.file(f"logs/{file.name}", file)


def _journalctl(archive: Archive, name: str, options: list[str]) -> None:
    command = ["journalctl", "--no-pager", "--output", "short-iso-precise", *options]
    done = subprocess.run(command, capture_output=True, timeout=_LOG_S, check=False)
    if done.returncode:
        archive.left_out(
            name, done.stderr.decode(errors="replace").strip() or f"journalctl ended with {done.returncode}"
        )
    else:
        archive.add(name, done.stdout)


def commands(archive: Archive, request: Request) -> None:
    """What was commanded, by whom."""
    for name, _, config in request.configs:
        if not isinstance(config, MonitorConfig) and config.control.record is not None:
            archive.file(f"commands/{_stem(name)}.jsonl", Path(config.control.record))


def traces(archive: Archive, request: Request) -> None:
    """The newest traces of the flight recorders."""
    for folder in sorted(set(_folders(request, "flight"))):
        for file in _newest(folder.glob("*.trace.json"), TRACES):
            archive.file(f"flight/{file.name}", file)


def journals(archive: Archive, request: Request) -> None:
    """What the journals recorded in the time asked for, one JSON object a line."""
    wanted = Filter(since_ms=request.since_ms)
    for name, _, config in request.configs:
        if isinstance(config, MonitorConfig) or config.journal.folder is None:
            continue
        try:
            folder = Folder(Path(config.journal.folder))
            rows: dict[str, Iterator[Any]] = {
                "runs": folder.runs(),
                "parts": folder.parts(wanted),
                "gates": folder.gates(wanted),
                "events": folder.events(wanted),
                "counts": folder.counts(wanted),
            }
            for kind, found in rows.items():
                archive.lines(f"journal/{_stem(name)}-{kind}.jsonl", map(msgspec.json.encode, islice(found, MOST_ROWS)))
        except EdgeError as error:
            archive.left_out(f"journal/{_stem(name)}", str(error))


def challenges(archive: Archive, request: Request) -> None:
    """The newest signed records of challenge parts."""
    for folder in sorted(set(_folders(request, "challenge"))):
        for file in _newest(folder.glob("*.json"), CHALLENGES):
            archive.file(f"challenge/{file.name}", file)


def metrics(archive: Archive, request: Request) -> None:
    """What the monitor shows Prometheus now."""
    try:
        archive.add("metrics.txt", fetch(request.metrics, _ANSWER_S))  # http only: see `Request`
    except OSError as error:
        archive.left_out("metrics.txt", f"{request.metrics} does not answer ({error})")


def evidence(archive: Archive, request: Request) -> None:
    """The newest sidecars, which say what was found; their pictures only where that was asked for."""
    for folder in sorted(set(_folders(request, "evidence"))):
        for sidecar in _newest(folder.glob("????-??-??/??/*.json"), PICTURES):
            name = f"evidence/{sidecar.relative_to(folder)}"
            archive.file(name, sidecar)
            if request.images:
                for picture in filter(Path.exists, (sidecar.with_suffix(suffix) for suffix in (".jpg", ".png"))):
                    archive.picture(str(Path(name).with_name(picture.name)), picture)
        if not request.images:
            archive.left_out("pictures", f"those of {folder} are included only with --images")


SOURCES: tuple[Callable[[Archive, Request], None], ...] = (
    versions, configs, examination, logs, commands, traces, journals, challenges, metrics, evidence,
)  # fmt: skip


def _stem(name: str) -> str:
    return Path(name).stem


def _folders(request: Request, section: str) -> Iterator[Path]:
    for _, _, config in request.configs:
        folder = getattr(config, section).folder if section in type(config).model_fields else None
        if folder is not None:
            yield Path(folder)


def _newest(files: Iterable[Path], count: int) -> list[Path]:
    """Return the ``count`` newest files; one that is deleted meanwhile is the oldest."""

    def changed(file: Path) -> float:
        try:
            return file.stat().st_mtime
        except FileNotFoundError:
            return 0.0

    return sorted(files, key=changed)[-count:]
