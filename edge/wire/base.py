"""What all messages have."""

from __future__ import annotations

from typing import Annotated

import msgspec

VERSION = 1

Counter32 = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]


class Message(msgspec.Struct, tag_field="kind", frozen=True, kw_only=True):
    """Base of all messages."""

    v: int = VERSION
