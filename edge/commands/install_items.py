"""What is installed, a thing at a time: each says what it would do, and does it.  What is a person's stays."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, Protocol

from edge.commands.install_host import Host
from edge.commands.install_record import Entry, Kind, put
from edge.errors import InstallError
from edge.wire.keys import generate, write_pair

Doing = Literal["create", "update", "same", "keep"]
"""``keep``: it is there, and is not what we would write: a person's."""

Recorded = Mapping[str, Entry]
"""By path."""

_HALF_MADE = 0o700
"""Mode of a folder until it has its owner: nobody else sees into it by then."""


@dataclass(frozen=True)
class Step:
    """What will be done to one thing.

    Attributes:
        doing: see ``Doing``.
        what: the thing, for people.
        note: more for people, or "".
    """

    doing: Doing
    what: str
    note: str = ""


class Item(Protocol):
    """A thing that can be installed."""

    def step(self, host: Host, recorded: Recorded) -> Step:
        """Say what ``make`` would do."""

    def entries(self, host: Host) -> Sequence[Entry]:
        """Return what to put on record before ``make`` creates or updates it."""

    def make(self, host: Host) -> None:
        """Create or update it.  Raises ``OSError`` or ``InstallError``."""


@dataclass(frozen=True)
class Folder:
    """A folder.  One that is there stays as it is, mode and owner included, but for one that is half made."""

    path: PurePosixPath
    owner: str
    group: str
    mode: int
    line: str = ""
    kind: Kind = "folder"

    def step(self, host: Host, recorded: Recorded) -> Step:
        """Say what ``make`` would do."""
        path, note = host.at(self.path), f"{self.mode:04o} {self.owner}:{self.group}"
        if not path.is_dir():
            return Step("create", f"{self.path}/", note)
        if str(self.path) in recorded and stat.S_IMODE(path.stat().st_mode) == _HALF_MADE != self.mode:
            return Step("update", f"{self.path}/", f"half made: {note}")
        return Step("same", f"{self.path}/")

    def entries(self, host: Host) -> list[Entry]:  # noqa: ARG002
        """Return what to put on record."""
        return [Entry(self.kind, str(self.path), self.line)]

    def make(self, host: Host) -> None:
        """Create it, or go on with it."""
        path = host.at(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=_HALF_MADE, exist_ok=True)  # the record may have been written into it by now
        host.own(path, self.owner, self.group)
        path.chmod(self.mode)


@dataclass(frozen=True)
class File:
    """A text file.  One that a person has changed, or that was there before, stays.

    Attributes:
        is_config: once it is there it belongs to the plant, and a new version of the product leaves it alone.
    """

    path: PurePosixPath
    text: str
    mode: int = 0o644
    group: str = "root"
    line: str = ""
    is_config: bool = False

    def step(self, host: Host, recorded: Recorded) -> Step:
        """Say what ``make`` would do."""
        path, what = host.at(self.path), str(self.path)
        if not path.exists() and not path.is_symlink():
            return Step("create", what, f"{self.mode:04o} root:{self.group}")
        if self.is_config:
            return Step("same", what, "")
        present = content_hash(host, self.path)
        entry = recorded.get(what)
        if present == self._sha256:
            behind = entry is not None and entry.sha256 != present  # written, and then the power was gone
            return Step("update", what, "on record") if behind else Step("same", what)
        if entry is not None and entry.sha256 == present:
            return Step("update", what, "as this version has it")
        return Step("keep", what, "changed by hand" if entry else "not made by edge install")

    def entries(self, host: Host) -> list[Entry]:  # noqa: ARG002
        """Return what to put on record."""
        return [Entry("config" if self.is_config else "file", str(self.path), self.line, self._sha256)]

    def make(self, host: Host) -> None:
        """Write it."""
        path = host.at(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path, self.text.encode(), self.mode, lambda beside: host.own(beside, "root", self.group))

    @property
    def _sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Keys:
    """A key pair.  One that is there stays: to make it anew would lock the other end out."""

    folder: PurePosixPath
    name: str
    owner: str
    line: str = ""

    def step(self, host: Host, recorded: Recorded) -> Step:
        """Say what ``make`` would do."""
        files = [host.at(path).exists() for path in self._paths]
        secret = self._paths[0]
        what = f"{self.folder}/{self.name}.key, .pub"
        if all(files):
            given = str(secret) not in recorded or host.at(secret).stat().st_uid != 0
            return Step("same", what) if given else Step("update", what, f"half made: 0600 {self.owner}")
        if any(files):
            return Step("keep", what, "half a pair: remove it, or bring the other half back")
        return Step("create", what, f"0600 {self.owner}: unused until security.key names it")

    def entries(self, host: Host) -> list[Entry]:  # noqa: ARG002
        """Return what to put on record."""
        return [Entry("key", str(path), self.line) for path in self._paths]

    def make(self, host: Host) -> None:
        """Write both halves, where they are not there, and give them to their owners."""
        secret, public = (host.at(path) for path in self._paths)
        if not secret.exists():
            write_pair(generate(), self.name, host.at(self.folder))
        host.own(secret, self.owner, self.owner)
        host.own(public, "root", "root")

    @property
    def _paths(self) -> tuple[PurePosixPath, PurePosixPath]:
        return self.folder / f"{self.name}.key", self.folder / f"{self.name}.pub"


@dataclass(frozen=True)
class Accounts:
    """The users and groups of a sysusers.d file that lies in its place by then."""

    file: PurePosixPath
    users: tuple[str, ...]
    groups: tuple[str, ...]

    def step(self, host: Host, recorded: Recorded) -> Step:  # noqa: ARG002
        """Say what ``make`` would do."""
        users, groups = self._missing(host)
        if not users and not groups:
            return Step("same", f"users {', '.join(self.users)}")
        note = f"; groups {', '.join(groups)}" if groups else ""
        return Step("create", f"users {', '.join(users) or 'none'}{note}", "no password, no shell")

    def entries(self, host: Host) -> list[Entry]:
        """Return what to put on record: what is missing now."""
        users, groups = self._missing(host)
        return [*(Entry("group", name) for name in groups), *(Entry("user", name) for name in users)]

    def make(self, host: Host) -> None:
        """Create what is missing."""
        host.make_accounts(self.file)
        users, groups = self._missing(host)
        if users or groups:
            missing = ", ".join(users + groups)
            raise InstallError(f"systemd-sysusers did not make {missing}.", f"see {self.file}, and make them by hand.")

    def _missing(self, host: Host) -> tuple[list[str], list[str]]:
        users, groups = host.names("passwd"), host.names("group")
        return [u for u in self.users if u not in users], [g for g in self.groups if g not in groups]


def content_hash(host: Host, path: PurePosixPath) -> str:
    """Return the SHA-256 of a file's content, or "" where it is no file."""
    try:
        return hashlib.sha256(host.at(path).read_bytes()).hexdigest()
    except OSError:
        return ""
