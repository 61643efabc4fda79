"""A small file system for journals or evidence, that can be full and can stand still."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

SIZE = 32 << 20
JOURNALS = ("station-journal", "gateway-journal")
EVIDENCE = ("evidence",)
_TAKE_S = 0.02
GUARD_S = 20
"""After which a frozen file system thaws whatever became of the test: who writes there cannot even be killed."""


class Disk:
    """An ext4 file system in a file, mounted in a line's folder; what it is for are links into it.

    Args:
        folder: of the line.
        names: of the folders that lie on it.
        size: of the file system, bytes.

    Use it as a context manager: leaving it thaws and unmounts.
    """

    def __init__(self, folder: Path, names: tuple[str, ...] = JOURNALS, size: int = SIZE) -> None:
        self._folder, self._names, self._size = folder, names, size
        self._mount, self._ballast = folder / "disk", folder / "disk" / "ballast"

    def __enter__(self) -> Disk:
        image = self._folder / "disk.ext4"
        with image.open("wb") as file:
            file.truncate(self._size)
        _call("mkfs.ext4", "-q", "-m", "0", str(image))
        self._mount.mkdir()
        _call("mount", "-o", "loop", str(image), str(self._mount))
        for name in self._names:
            (self._mount / name).mkdir()
            (self._folder / name).symlink_to(self._mount / name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _call("umount", str(self._mount))

    def full(self, seconds: float) -> None:
        """Fill every block, and give them back after a while."""
        with self.filled():
            time.sleep(seconds)

    @contextlib.contextmanager
    def filled(self) -> Iterator[None]:
        """Fill every block, also those that somebody gives back meanwhile; free all at the end."""
        ending = threading.Event()
        with self._ballast.open("wb", buffering=0) as file:
            _take_all(file)
            taker = threading.Thread(target=_keep_taking, args=(file, ending))
            taker.start()
            try:
                yield
            finally:
                ending.set()
                taker.join()
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


def _keep_taking(file: IO[bytes], ending: threading.Event) -> None:
    while not ending.wait(_TAKE_S):
        _take_all(file)


def _take_all(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # no space left on device
        while True:
            file.write(bytes(1 << 16))


def _call(*command: str) -> None:
    subprocess.run(command, check=True, timeout=30)
