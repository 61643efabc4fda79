"""The machine that `edge install` works on: this one, or one that is being made in a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath

from edge.errors import InstallError

_TIMEOUT_S = 60.0
_MANAGER = Path("/run/systemd/system")


class Host:
    """Maps paths, and knows who is who.

    Args:
        root: "/", or a folder that will be the root of another machine: nothing is started or stopped for it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.is_this = self.root == Path("/")

    @property
    def is_managed(self) -> bool:
        """True where systemd runs here, so that it must hear of changes."""
        return self.is_this and _MANAGER.is_dir()

    def at(self, path: PurePosixPath) -> Path:
        """Return where ``path`` of the machine lies."""
        return self.root / path.relative_to("/")

    def names(self, kind: str) -> dict[str, int]:
        """Return the machine's own users ("passwd") or groups ("group"): ids by name."""
        file = self.root / "etc" / kind
        if not file.exists():
            return {}
        entries = (line.split(":") for line in file.read_text(encoding="utf-8").splitlines() if line.count(":") > 1)
        return {entry[0]: int(entry[2]) for entry in entries if entry[2].isdecimal()}

    def own(self, path: Path, owner: str, group: str) -> None:
        """Give ``path``, which is no link, to a user and a group; only root can, and what he makes is his own.

        Raises:
            InstallError: there is no such user or group.
        """
        if os.geteuid() != 0:
            return
        try:
            ids = self.names("passwd")[owner], self.names("group")[group]
        except KeyError as error:
            raise InstallError(f"{self.root} has no user or group {error}.", "see systemd-sysusers.") from None
        os.chown(path, *ids, follow_symlinks=False)

    def make_accounts(self, file: PurePosixPath) -> None:
        """Create the users and groups that a sysusers.d file lists and that are missing.

        Raises:
            InstallError: it failed.
        """
        self.run("systemd-sysusers", f"--root={self.root}", str(self.at(file)))

    def remove_accounts(self, users: list[str], groups: list[str]) -> None:
        """Remove users, and then groups that are still there.

        Raises:
            InstallError: it failed.
        """
        where = () if self.is_this else ("--prefix", str(self.root))
        for user in users:
            if user in self.names("passwd"):
                self.run("userdel", *where, user)
        for group in groups:
            if group in self.names("group"):
                self.run("groupdel", *where, group)

    def stop_and_disable(self, units: list[str]) -> None:
        """Stop units and start them no more at boot.

        Raises:
            InstallError: one does not stop.
        """
        if self.is_managed:
            self.run("systemctl", "disable", "--now", *units)
        elif shutil.which("systemctl"):
            self.run("systemctl", f"--root={self.root}", "disable", *units)

    def reload(self) -> None:
        """Have systemd and udev read what has changed.

        Raises:
            InstallError: they refuse.
        """
        if self.is_managed:
            self.run("systemctl", "daemon-reload")
            if shutil.which("udevadm"):
                self.run("udevadm", "control", "--reload")
                self.run("udevadm", "trigger", "--subsystem-match=usb", "--action=change")

    def run(self, *command: str) -> None:
        """Run a command of the system.

        Raises:
            InstallError: it is missing, failed, or took too long.
        """
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InstallError(f"`{' '.join(command)}` failed ({error}).", "install systemd's tools.") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip().replace("\n", "; ")
            raise InstallError(f"`{' '.join(command)}` failed: {said}", "mend that, and repeat the command.")
