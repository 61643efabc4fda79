"""What a machine gets: the things of `edge install`, in the order in which they are made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from edge.commands import install_config, install_sources
from edge.commands.install_config import Places
from edge.commands.install_items import Accounts, File, Folder, Item, Keys
from edge.errors import InstallError

ROLES = ("gateway", "station", "monitor")
"""In the order in which they are started."""

LINE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
"""A part of unit names and of paths that sockets have room for."""

UNITS = PurePosixPath("/etc/systemd/system")
SYSUSERS = PurePosixPath("/etc/sysusers.d/edge.conf")
UDEV = PurePosixPath("/etc/udev/rules.d/60-edge.rules")
CACHE = PurePosixPath("/var/cache/edge")
PACKAGED_PROGRAM = "/opt/edge/bin/edge"
"""The program in the units as they are shipped."""

USER, MONITOR = "edge", "edge-monitor"
DEFAULT_PORT = 9464
NO_USERS = "# Who may log in at the monitor; written by `edge users`.\n"

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
"""From the services: ProtectHome= and PrivateTmp= of the units."""

_UNFIT = re.compile(r"[\s%$\"'\\]")
"""What a path in ExecStart= would have to escape; systemd.service(5)."""


@dataclass(frozen=True)
class Wanted:
    """What is to be installed.

    Attributes:
        line: its name.
        roles: of ``ROLES``, what runs on this machine.
        program: the command `edge` of the environment that the services use.
        models: the folder of the shipped model packages.
        port: of the monitor.

    Raises:
        InstallError: the services could not be.
    """

    line: str
    roles: Sequence[str]
    program: PurePosixPath
    models: PurePosixPath
    port: int = DEFAULT_PORT

    def __post_init__(self) -> None:
        if not LINE_NAME.fullmatch(self.line):
            raise InstallError(
                f"{self.line!r} cannot name a line.", "use up to 32 lower-case letters, digits and dashes."
            )
        if unknown := set(self.roles) - set(ROLES):
            raise InstallError(f"{', '.join(unknown)} is no role.", f"use {', '.join(ROLES)}.")
        for path in (self.program, self.models):
            if not path.is_absolute() or any(path.is_relative_to(folder) for folder in HIDDEN):
                raise InstallError(
                    f"The services cannot see {path}: {', '.join(HIDDEN)} are hidden from them.",
                    "make the environment in /opt/edge, and run its `edge install`; see docs/install.md.",
                )
            if found := _UNFIT.search(str(path)):
                raise InstallError(f"{path} has {found[0]!r} in it, which units read otherwise.", "use a plain path.")


def unit(role: str) -> str:
    """Return the file name of a role's unit."""
    return f"edge-{role}@.service"


def instances(line: str, roles: Sequence[str] = ROLES) -> list[str]:
    """Return the names of a line's services."""
    return [f"edge-{role}@{line}.service" for role in ROLES if role in roles]


def layout(wanted: Wanted) -> list[Item]:
    """Return all things of one line, and those that lines share.

    Raises:
        ConfigError: a file of the product is missing.
    """
    return [*_shared(wanted), *_of_line(wanted)]


def _shared(wanted: Wanted) -> list[Item]:
    def rendered(role: str) -> str:
        return install_sources.read("systemd", unit(role)).replace(PACKAGED_PROGRAM, str(wanted.program))

    return [
        Folder(PurePosixPath("/var/lib/edge"), "root", "root", 0o755),
        File(SYSUSERS, install_sources.read("systemd", "edge.sysusers.conf")),
        Accounts(SYSUSERS, (USER, MONITOR), (USER, MONITOR, "video", "render")),
        Folder(PurePosixPath("/etc/edge"), "root", "root", 0o755),
        *([Folder(CACHE, "root", "root", 0o755)] if "station" in wanted.roles else []),
        *(File(UNITS / unit(role), rendered(role)) for role in wanted.roles),
        File(UDEV, install_sources.read("udev", UDEV.name)),
    ]


def _of_line(wanted: Wanted) -> list[Item]:
    line, places = wanted.line, Places(wanted.line)
    items: list[Item] = [Folder(places.settings, "root", USER, 0o750, line)]
    if owners := [role for role in ("gateway", "station") if role in wanted.roles]:
        items.append(Folder(places.keys, "root", USER, 0o750, line))
        items.extend(Keys(places.keys, f"{role}-{line}", USER, line) for role in owners)
    texts = {
        "gateway": lambda: install_config.gateway(install_sources.read("config", "gateway.toml"), places),
        "station": lambda: install_config.station(
            install_sources.read("config", "station.toml"), places, wanted.models
        ),
        "monitor": lambda: install_config.monitor(install_sources.read("config", "monitor.toml"), places, wanted.port),
    }
    for role in wanted.roles:
        path = places.settings / f"{role}.toml"
        items.append(File(path, texts[role](), 0o640, USER, line, is_config=True))
    if "monitor" in wanted.roles:  # as it is made here, `edge users` keeps its owner and mode
        items.append(File(places.settings / "users.toml", NO_USERS, 0o640, MONITOR, line, is_config=True))
    items.append(Folder(places.state, "root", "root", 0o755, line))
    items.extend(_data(places, wanted.roles))
    if "station" in wanted.roles:  # its unit's CacheDirectory=
        items.append(Folder(CACHE / line, USER, USER, 0o750, line, "cache"))
    return items


def _data(places: Places, roles: Sequence[str]) -> list[Item]:
    """Return the folders that the units' StateDirectory= names."""
    of = {
        "gateway": ("gateway", "flight"),
        "station": ("station", "evidence", "health", "challenge", "flight"),
        "monitor": ("monitor",),
    }
    names = dict.fromkeys(name for role in roles for name in of[role])
    owners = {name: MONITOR if name == "monitor" else USER for name in names}
    return [Folder(places.state / n, owners[n], owners[n], 0o750, places.line, "data") for n in names]
