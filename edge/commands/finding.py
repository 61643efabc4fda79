"""What `edge doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.  ``remedy`` is empty where nothing is to be done."""

    name: str
    status: Status
    detail: str
    remedy: str = ""
