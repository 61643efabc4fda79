"""A folder that appears complete or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.errors import ModelError


def require_absent(out: Path) -> None:
    """Check early what ``whole_folder`` checks in the end, before minutes of work for nothing.

    Raises:
        ModelError: ``out`` exists.
    """
    if out.exists():
        raise ModelError(f"{out} exists already.", "choose another folder, or remove it: packages are never changed.")


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a folder to write in, which becomes ``out`` at the end, or vanishes where the block raises.

    Raises:
        ModelError: ``out`` exists.
    """
    require_absent(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield work
        work.chmod(0o755)  # mkdtemp's 0700 would lock out the user that the station runs as
        os.rename(work, out)
    except BaseException:
        shutil.rmtree(work)
        raise
