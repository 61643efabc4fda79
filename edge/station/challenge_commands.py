"""The station's command `challenge`, and what a configuration makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from edge.config import StationConfig
from edge.record.challenge_archive import Archive
from edge.record.challenge_heads import noted_heads
from edge.record.challenge_keys import read_signer
from edge.record.challenge_writer import ChallengeWriter
from edge.station.challenge import Challenges
from edge.station.challenge_record import Starter
from edge.station.guarded import GuardedChallenges
from edge.station.orders import Order
from edge.station.pairs import Pair
from edge.wire.control import Command


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    """``operator``: who is responsible, as the page or the person says; the kernel's word stands beside it."""

    action: Literal["start", "returned", "abort"]
    operator: str = ""
    note: str = ""
    missing: str = ""


@contextmanager
def challenges(config: StationConfig, named: dict[int, str], note: Callable[..., None]) -> Iterator[Challenges | None]:
    """Yield what runs the station's challenges, or None where none are configured.

    Args:
        config: of the station.
        named, note: as for ``Challenges``.

    Raises:
        ConfigError, MissingExtra: its records cannot be signed.  Where they cannot be read or written the station
            starts all the same, and says so: inspection has no need of that disk.
    """
    settings = config.challenge
    if settings.folder is None or settings.key is None:
        yield None
        return
    archive = Archive(Path(settings.folder), read_signer(Path(settings.key)), config.name, config.lane)
    if config.journal.folder is not None:
        archive.compare(noted_heads(Path(config.journal.folder)))
    with closing(ChallengeWriter(archive)) as writer:
        yield Challenges(settings, archive, writer, named, note)


def challenge_command(
    made: Challenges | GuardedChallenges | None, pair: Callable[[], Pair], post: Callable[[Order], None]
) -> Callable[[Command], None]:
    """Return what takes the command ``challenge`` in the control thread.

    Args:
        made: runs them, or None.
        pair: returns what judges, in the signal thread.
        post: takes orders for the signal thread.
    """

    def receive(command: Command) -> None:
        if made is None:
            command.answer(False, "No challenge is configured.", remedy="see docs/challenge.md, [challenge].")
            return
        try:
            request = msgspec.convert(command.arguments, _Request)
        except msgspec.ValidationError as error:
            command.answer(False, f"challenge: {error}.", remedy="see edge challenge --help.")
            return
        post(Order(command, act=lambda stands: carry_out(made, request, command) if stands else ""))

    def carry_out(made: Challenges | GuardedChallenges, request: _Request, command: Command) -> str:
        peer = command.peer
        operator = request.operator or peer.user
        if request.action == "start":
            return made.start(Starter(operator, peer.user, peer.uid, peer.pid, request.note), pair())
        if request.action == "abort":
            return made.abort()
        missing = [name.strip() for name in request.missing.split(",") if name.strip()]
        return made.returned(operator, missing)

    return receive
