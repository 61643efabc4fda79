"""`edge support-bundle`: one archive that says what somebody elsewhere needs to know, and no secret."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge import __version__
from edge.clock import NS_PER_MS, wall_iso, wall_ns
from edge.commands.doctor_alive import metrics_address
from edge.commands.doctor_read import read
from edge.commands.support_bundle_archive import Archive, Request, search
from edge.commands.support_bundle_redact import Redactor, secrets_of
from edge.commands.support_bundle_sources import SOURCES
from edge.config import MonitorConfig
from edge.errors import ConfigError, EdgeError

_MS_PER_HOUR = 3_600_000
_DEFAULT_METRICS = "http://127.0.0.1:9464/metrics"


@dataclass(frozen=True)
class Made:
    """A finished bundle: its file, and what its manifest says."""

    path: Path
    manifest: dict[str, Any]


def make(
    paths: Sequence[Path],
    out: Path,
    hours: float = 1.0,
    images: bool = False,
    logs: Sequence[Path] = (),
    metrics: str | None = None,
) -> Made:
    """Write the bundle for the processes whose configurations are given.

    A configuration that cannot be used is included as text; what it names is not.

    Raises:
        ConfigError: the file exists or cannot be written, or ``metrics`` is no http address.
    """
    broken: list[tuple[str, Path, str]] = []
    configs = []
    for number, path in enumerate(paths, 1):
        name = f"{number}-{path.name}"
        try:
            configs.append((name, path, read(path)))
        except EdgeError as error:
            broken.append((name, path, str(error)))
    address = metrics or next(
        (metrics_address(c) for _, _, c in configs if isinstance(c, MonitorConfig)), _DEFAULT_METRICS
    )
    if not address.startswith(("http://", "https://")):
        raise ConfigError(f"{address!r} is no http address.", "give --metrics as http://127.0.0.1:9464/metrics.")
    since_ms = wall_ns() // NS_PER_MS - round(hours * _MS_PER_HOUR)
    request = Request(tuple(configs), since_ms, images, tuple(logs), address)
    redactor = Redactor(secret for _, _, config in configs for secret in secrets_of(config))
    try:
        manifest = _write(out, request, redactor, broken)
    except FileExistsError:
        raise ConfigError(f"{out} exists.", "choose another --out.") from None
    except OSError as error:
        raise ConfigError(f"{out} cannot be written ({error.strerror}).", "choose another --out.") from None
    search(out, redactor)
    return Made(out, manifest)


def _write(out: Path, request: Request, redactor: Redactor, broken: list[tuple[str, Path, str]]) -> dict[str, Any]:
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
            archive = Archive(tar, redactor, out.name.removesuffix(".tar.gz"))
            for name, path, problem in broken:
                archive.file(f"config/{name}", path)
                archive.left_out(name, problem)
            for source in SOURCES:
                try:
                    source(archive, request)
                except Exception as error:  # noqa: BLE001 - what is broken here is what the bundle is made for
                    archive.left_out(source.__name__, f"{type(error).__name__}: {error}")
            manifest = {"edge": __version__, "written": wall_iso(), "images": request.images, **archive.manifest()}
            archive.json("MANIFEST.json", manifest)
    except BaseException:
        out.unlink(missing_ok=True)  # half a bundle misleads
        raise
    return manifest
