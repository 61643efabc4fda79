"""What a station's health keeps beyond the process: camera reference, baselines, what a start goes on with."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge.clock import wall_iso
from edge.core.drift import ONE_SIDED_TESTS, Learnt, Statistics
from edge.core.picture_health import Reference
from edge.errors import ConfigError

_log = logging.getLogger(__name__)

REFERENCE, BASELINES, CARRIED = "reference.json", "baselines.json", "carried.json"

_Kept = TypeVar("_Kept")


class _KeptReference(msgspec.Struct):
    taken: str
    reference: Reference


class _KeptBaselines(msgspec.Struct):
    saved: str
    baselines: dict[str, Learnt]


@dataclass(frozen=True)
class Carried:
    """What a restart must neither lift nor forget.

    Attributes:
        holds: names of the alarms for which nobody is let in, and which a person ends.
        tests: of the drifts, by the name of what decided.
    """

    holds: list[str] = field(default_factory=list)
    tests: dict[str, Statistics] = field(default_factory=dict)


class _KeptCarried(msgspec.Struct):
    saved: str
    carried: Carried


class HealthFolder:
    """The files, in a folder of one station's own.

    Args:
        folder: made where it is missing.

    Attributes:
        taken: when the reference was taken, wall time, or "" without one.

    Raises:
        ConfigError: the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.taken = folder, ""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"health.folder {folder} cannot be made ({error.strerror}).",
                "name a folder that the station may write.",
            ) from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError(f"health.folder {folder} cannot be written to.", "give the station's user the right to.")

    def reference(self) -> Reference | None:
        """Return the reference that was kept, or None."""
        kept = self._read(REFERENCE, _KeptReference)
        self.taken = "" if kept is None else kept.taken
        return None if kept is None else kept.reference

    def keep_reference(self, reference: Reference) -> None:
        """Keep a reference in place of the one before.

        Raises:
            OSError: it cannot be written.
        """
        taken = wall_iso()
        self._write(REFERENCE, _KeptReference(taken, reference))
        self.taken = taken

    def baselines(self) -> dict[str, Learnt]:
        """Return the baselines that were kept, by the name of what decided; the one used last comes last."""
        kept = self._read(BASELINES, _KeptBaselines)
        if kept is None:
            return {}
        if not all(map(_possible, kept.baselines.values())):
            self._set_aside(BASELINES, "it holds counts or scores that cannot be")
            return {}
        return kept.baselines

    def keep_baselines(self, baselines: Mapping[str, Learnt]) -> None:
        """Keep baselines in place of those before.

        Raises:
            OSError: they cannot be written.
        """
        self._write(BASELINES, _KeptBaselines(wall_iso(), dict(baselines)))

    def carried(self) -> Carried | None:
        """Return what was carried over from the process before; None where it cannot be read: anything may stand."""
        kept = self._read(CARRIED, _KeptCarried, _KeptCarried("", Carried()))
        if kept is None:
            return None
        if not all(len(s) == ONE_SIDED_TESTS and all(isfinite(v) for v, _ in s) for s in kept.carried.tests.values()):
            self._set_aside(CARRIED, "it holds statistics that cannot be")
            return Carried(kept.carried.holds)
        return kept.carried

    def carry(self, carried: Carried) -> None:
        """Keep what the next process goes on with.

        Raises:
            OSError: it cannot be written.
        """
        self._write(CARRIED, _KeptCarried(wall_iso(), carried))

    def _read(self, name: str, kind: type[_Kept], missing: _Kept | None = None) -> _Kept | None:
        """Return what a file holds; ``missing`` where there never was one, None where it cannot be read."""
        path = self._folder / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None if os.path.lexists(path.with_suffix(".damaged")) else missing  # nothing has replaced it yet
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            self._set_aside(name, str(error))
            return None

    def _set_aside(self, name: str, why: str) -> None:
        """Go on without a file: a station inspects just as well, and says that it has nothing to compare with."""
        path = self._folder / name
        _log.error("%s is damaged (%s): it is set aside, and what it held must be learnt anew.", path, why)
        try:
            path.replace(path.with_suffix(".damaged"))
        except OSError as error:
            _log.error("%s cannot be moved: %s.", path, error)

    def _write(self, name: str, value: Any) -> None:
        path = self._folder / name
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(value) + b"\n")
            file.flush()
            os.fsync(file.fileno())  # or a power cut leaves an empty file behind the name
        fresh.replace(path)


def _possible(learnt: Learnt) -> bool:
    counts = 0 <= learnt.rejects <= learnt.parts
    return counts and all(isfinite(score) for score in learnt.scores)
