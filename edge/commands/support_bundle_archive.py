"""The archive that `edge support-bundle` writes: everything through one door, which takes secrets out."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from edge.commands.doctor_read import Config
from edge.commands.support_bundle_redact import Redactor
from edge.errors import ConfigError

MOST_BYTES = 20_000_000
"""Of one file: of a longer one, its end."""
_IN_MEMORY = 8_000_000


@dataclass(frozen=True)
class Request:
    """What is wanted.

    Attributes:
        configs: name in the archive, path and content of each configuration.
        since_ms: wall-clock ms since 1970 from which on records are included.
        images: include pictures.
        logs: files to include.
        metrics: http address of the monitor's metrics.
    """

    configs: tuple[tuple[str, Path, Config], ...]
    since_ms: int
    images: bool
    logs: tuple[Path, ...]
    metrics: str


@dataclass
class Archive:
    """A tar archive whose members are cleaned of secrets.

    Args:
        tar: open for writing.
        redactor: takes secrets out.
        root: the folder in the archive that holds everything.
    """

    tar: tarfile.TarFile
    redactor: Redactor
    root: str
    _members: dict[str, dict[str, Any]] = field(default_factory=dict)
    _left_out: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, data: bytes) -> None:
        """Add a member; of a second one of the same name, the manifest says that it was left out."""
        if name in self._members:
            self.left_out(name, "another file of this name is included already")
            return
        before = self.redactor.removed
        data = self.redactor.clean(data)
        self._write(name, io.BytesIO(data), len(data), hashlib.sha256(data).hexdigest(), self.redactor.removed - before)

    def json(self, name: str, value: Any) -> None:
        """Add ``value`` as JSON."""
        self.add(name, json.dumps(value, indent=1).encode())

    def file(self, name: str, path: Path) -> None:
        """Add a file, or its end where it is long; what cannot be read is noted."""
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size  # 0 for those of /proc, which cannot be sought in
                if size > MOST_BYTES:
                    file.seek(size - MOST_BYTES)
                    file.readline()  # cut within a line, half a secret would not be known for one
                data = file.read(MOST_BYTES)
        except OSError as error:
            self.left_out(name, f"{path} cannot be read ({error.strerror})")
            return
        self.add(name, data)

    def lines(self, name: str, lines: Iterable[bytes]) -> None:
        """Add lines that need not fit into memory."""
        before, size, digest = self.redactor.removed, 0, hashlib.sha256()
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
            for line in lines:
                data = self.redactor.clean(line) + b"\n"
                spool.write(data)
                digest.update(data)
                size += len(data)
            spool.seek(0)
            self._write(name, spool, size, digest.hexdigest(), self.redactor.removed - before)

    def picture(self, name: str, path: Path) -> None:
        """Add a picture as it is: there is no text in it to be cleaned."""
        try:
            data = path.read_bytes()
        except OSError as error:
            self.left_out(name, f"{path} cannot be read ({error.strerror})")
            return
        self._write(name, io.BytesIO(data), len(data), hashlib.sha256(data).hexdigest(), 0)

    def left_out(self, name: str, why: str) -> None:
        """Note what is not in the archive."""
        self._left_out.append({"name": name, "why": self.redactor.clean(why.encode()).decode(errors="replace")})

    def manifest(self) -> dict[str, Any]:
        """Return what is in the archive, and what is not."""
        return {"files": dict(self._members), "left_out": list(self._left_out)}

    def _write(self, name: str, data: IO[bytes], size: int, sha256: str, removed: int) -> None:
        member = tarfile.TarInfo(f"{self.root}/{name}")
        member.size, member.mode, member.mtime = size, 0o600, int(time.time())
        self.tar.addfile(member, data)
        self._members[name] = {"bytes": size, "sha256": sha256, "secrets_removed": removed}


def search(path: Path, redactor: Redactor) -> None:
    """Look through a finished archive for secrets that are known by value.

    Raises:
        ConfigError: one is in there; the archive is deleted.
    """
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                file = tar.extractfile(member)
                if redactor.found_in(member.name.encode()) or (file is not None and redactor.found_in(file.read())):
                    raise ConfigError(
                        f"{member.name} would have held a secret; the bundle was deleted.", "report this as a bug."
                    )
    except BaseException:  # one that was not searched to its end is no better
        path.unlink(missing_ok=True)
        raise
