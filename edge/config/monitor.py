"""`monitor.toml`."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, model_validator

from edge.config.line import Endpoint, Section

LOCAL = "localtime"
_LOCAL_TIME = Path("/etc/localtime")
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def _time_of_day(text: str) -> str:
    if not _TIME_OF_DAY.fullmatch(text):
        raise ValueError(f"{text!r} is no time of day such as '06:00'")
    return text


TimeOfDay = Annotated[str, AfterValidator(_time_of_day)]


class SourcesConfig(Section):
    """Where the monitor reads, where that is not what the files of station and gateway say."""

    station_telemetry: Endpoint | None = None
    gateway_telemetry: Endpoint | None = None
    live: Endpoint | None = None
    """Where the station publishes live pictures, its `evidence.live`."""
    station_journal: str | None = None
    gateway_journal: str | None = None
    evidence: str | None = None
    """The folder of the station's pictures, its `evidence.folder`."""
    challenge: str | None = None
    """The folder of the records of challenges, its `challenge.folder`."""
    station_control: str | None = None
    """The station's control socket, its `control.path`: to start and end challenges from the dashboard."""


class MonitorConfig(Section):
    """`monitor.toml`."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    """Address to serve on.  Loopback: only this host reaches it."""
    port: Annotated[int, Field(ge=0, le=65535)] = 9464
    """0 takes a free one."""
    names: tuple[str, ...] = ()
    """Names under which browsers reach this host, beside its own name and its addresses; others are refused."""
    certificate: str | None = None
    key: str | None = None
    """PEM files for HTTPS."""
    station: str | None = None
    gateway: str | None = None
    """The files of station and gateway, which say where they publish and record."""
    sources: SourcesConfig = SourcesConfig()
    users: str | None = None
    """Who may log in; written by `edge users`."""
    annotations: str | None = None
    """The database of marks and acknowledgements, which only the monitor writes."""
    login: Literal["actions", "everything"] = "actions"
    """What needs a login: marks and acknowledgements, or looking too.  `/metrics` and `/healthz` never do."""
    language: Literal["en", "de"] = "en"
    """Of the pages, for a browser that asks for no other."""
    time_zone: str | None = None
    """IANA name, such as Europe/Berlin; None: this machine's."""
    shifts: Annotated[tuple[TimeOfDay, ...], Field(min_length=1, max_length=24)] = ("06:00", "14:00", "22:00")
    """When shifts begin, in the time zone; each ends where the next begins."""

    def zone(self) -> tzinfo:
        """Return the time zone of shifts and days.  Its ``key`` is an IANA name, or ``LOCAL`` where none is known."""
        if self.time_zone is not None:
            return ZoneInfo(self.time_zone)
        name = os.path.realpath(_LOCAL_TIME).partition("/zoneinfo/")[2].removeprefix("posix/")
        with suppress(ZoneInfoNotFoundError, ValueError, OSError):
            return ZoneInfo(name)
        try:
            with _LOCAL_TIME.open("rb") as file:
                return ZoneInfo.from_file(file, LOCAL)
        except (OSError, ValueError):
            return datetime.now().astimezone().tzinfo or ZoneInfo("UTC")

    @model_validator(mode="after")
    def _usable(self) -> MonitorConfig:
        if self.time_zone is not None:
            try:
                ZoneInfo(self.time_zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(
                    f"time_zone {self.time_zone!r} is not known here (see timedatectl list-timezones)"
                ) from None
        if list(self.shifts) != sorted(set(self.shifts)):
            raise ValueError(f"shifts {list(self.shifts)} must be in order, each once")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        if self.login == "everything" and self.users is None:
            raise ValueError("login = 'everything' needs users: without them nobody could look")
        return self
