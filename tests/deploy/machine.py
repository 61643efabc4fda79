"""A machine of its own with a real systemd, in namespaces of this one: what it does leaves nothing behind here."""

from __future__ import annotations

import contextlib
import os
import site
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

_CGROUPS = Path("/sys/fs/cgroup")
_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup")
_REPOSITORY = Path(__file__).resolve().parents[2]
_START_S = 30.0


class Machine:
    """Boots when it is entered, and is gone when it is left.

    Args:
        log: takes what is said while it boots.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._unshare: subprocess.Popen[bytes] | None = None
        self._started: list[subprocess.Popen[bytes]] = []
        self._groups: list[Path] = []
        self._pid = 0

    def __enter__(self) -> Machine:
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "EDGE_REPOSITORY": str(_REPOSITORY),
            "EDGE_PYTHON": sys.base_prefix,
            "EDGE_SITE": next(path for path in site.getsitepackages() if Path(path).is_dir()),
            "EDGE_CGROUPS": "2" if (_CGROUPS / "cgroup.controllers").exists() else "1",
        }
        self._groups = [self._new_group(folder) for folder in self._hierarchies()]
        command = ["unshare", *_NAMESPACES, "--fork", "--kill-child", "--mount-proc"]
        try:
            with self._log.open("wb") as log:
                self._unshare = subprocess.Popen(
                    [*command, "bash", str(Path(__file__).with_name("machine.sh"))],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=self._join,  # noqa: PLW1509 - a few writes, and none of Python's locks
                )
            self._await_boot()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._unshare is not None:
            self._unshare.kill()  # and with it, by --kill-child, the first process and all others
            self._unshare.wait()
        for process in self._started:
            process.kill()
            process.wait()
        end = time.monotonic() + 5.0
        for group in self._groups:
            for folder in [*sorted(group.rglob("*/"), key=lambda path: -len(path.parts)), group]:
                self._remove(folder, end)

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command on the machine; return what it printed.  Raises ``AssertionError`` where it fails."""
        done = subprocess.run(self._inside(*command), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, (command, done.stdout, done.stderr, self._log.read_text())
        return done.stdout

    def start(self, *command: str) -> None:
        """Start a command on the machine; it ends with it."""
        quiet = subprocess.DEVNULL
        self._started.append(subprocess.Popen(self._inside(*command), stdin=quiet, stdout=quiet, stderr=quiet))

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def _inside(self, *command: str) -> list[str]:
        return ["nsenter", f"--target={self._pid}", "--mount", "--pid", "--uts", "--ipc", "--net", "--", *command]

    def _hierarchies(self) -> list[Path]:
        """Return this process's control groups, where systemd needs one."""
        found = []
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            number, name, path = line.split(":", 2)
            if number == "0" and (_CGROUPS / "cgroup.controllers").exists():
                found.append(_CGROUPS / path.lstrip("/"))
            elif name == "name=systemd":
                found.append(_CGROUPS / "systemd" / path.lstrip("/"))
        return found

    def _new_group(self, parent: Path) -> Path:
        group = parent / f"edge-machine-{os.getpid()}"
        group.mkdir()
        return group

    def _join(self) -> None:
        for group in self._groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    def _await_boot(self) -> None:
        assert self._unshare is not None
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        end = time.monotonic() + _START_S
        while True:
            assert self._unshare.poll() is None, self._log.read_text()
            assert time.monotonic() < end, f"it does not boot: {self._log.read_text()}"
            if found := children.read_text().split():
                self._pid = int(found[0])
                asked = subprocess.run(
                    self._inside("systemctl", "is-active", "edge-machine.target"), capture_output=True, check=False
                )
                if asked.returncode == 0:
                    return
            time.sleep(0.1)

    def _remove(self, folder: Path, end: float) -> None:
        """Remove a control group as soon as its last process has gone."""
        with contextlib.suppress(FileNotFoundError):
            while True:
                try:
                    folder.rmdir()
                    return
                except OSError:
                    if time.monotonic() > end or not folder.exists():
                        raise
                    time.sleep(0.05)
