"""A small file system for the journals, that can be full and can stand still."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import TracebackType

SIZE = 32 << 20
GUARD_S = 20
"""After which a frozen file system thaws whatever became of the test: who writes there cannot even be killed."""


class Disk:
    """An ext4 file system in a file, mounted in a line's folder; the journals are links into it.

    Args:
        folder: of the line.

    Use it as a context manager: leaving it thaws and unmounts.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mount, self._ballast = folder / "disk", folder / "disk" / "ballast"

    def __enter__(self) -> Disk:
        image = self._folder / "disk.ext4"
        with image.open("wb") as file:
            file.truncate(SIZE)
        _call("mkfs.ext4", "-q", "-m", "0", str(image))
        self._mount.mkdir()
        _call("mount", "-o", "loop", str(image), str(self._mount))
        for name in ("station-journal", "gateway-journal"):
            (self._mount / name).mkdir()
            (self._folder / name).symlink_to(self._mount / name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _call("umount", str(self._mount))

    def full(self, seconds: float) -> None:
        """Fill every block, and give them back after a while."""
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass  # no space left on device
        try:
            time.sleep(seconds)
        finally:
            self._ballast.unlink()

    def stalled(self, seconds: float) -> None:
        """Let every write wait for a while."""
        thaw = f"sleep {GUARD_S}; fsfreeze -u {self._mount}"
        guard = subprocess.Popen(["sh", "-c", thaw], stderr=subprocess.DEVNULL, start_new_session=True)
        _call("fsfreeze", "-f", str(self._mount))
        try:
            time.sleep(seconds)
        finally:
            _call("fsfreeze", "-u", str(self._mount))
            os.killpg(guard.pid, 9)
            guard.wait()


def _call(*command: str) -> None:
    subprocess.run(command, check=True, timeout=30)
