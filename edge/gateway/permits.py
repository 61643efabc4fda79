"""The ring of permit slots: no slot is written again before the PLC has echoed it.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.core.session import Permit
from edge.gateway.plc.signals import ARMED, PERMIT_SLOTS

_SEQUENCES = 0xFFFF


@dataclass(frozen=True)
class Echo:
    """What the PLC newly says of one permit: one of ``signals.PERMIT_STATUS``."""

    number: int
    status: int


class PermitRing:
    """Assigns slots and sequences, and reads the echoes."""

    def __init__(self) -> None:
        self._next = 0
        self._sequence = 0
        self._sent: dict[int, tuple[int, Permit]] = {}  # slot -> (sequence, permit), not yet echoed
        self._armed: dict[int, tuple[int, int]] = {}  # slot -> (sequence, part), until another status is echoed
        self._echoed = [0] * PERMIT_SLOTS

    def restart(self, echoes: Sequence[tuple[int, int]]) -> None:
        """Begin anew: forget what was sent, and note what the PLC echoes of an earlier session."""
        self._sent.clear()
        self._armed.clear()
        self._echoed = [sequence for sequence, _ in echoes]

    def place(self, permit: Permit) -> tuple[int, int] | None:
        """Return (slot, sequence) for a permit, or None where the next slot has not been echoed."""
        slot = self._next
        if slot in self._sent:
            return None
        self._next = (slot + 1) % PERMIT_SLOTS
        self._sequence = self._sequence % _SEQUENCES + 1
        if self._sequence == self._echoed[slot]:  # an old echo must not answer a new permit
            self._sequence = self._sequence % _SEQUENCES + 1
        self._sent[slot] = (self._sequence, permit)
        self._armed.pop(slot, None)  # of that one only the gate ring will tell
        return slot, self._sequence

    def read(self, echoes: Sequence[tuple[int, int]]) -> list[Echo]:
        """Return what the PLC newly says of permits: that it took or refused them, and what became of them."""
        news = []
        for slot, (sequence, permit) in list(self._sent.items()):
            echoed, status = echoes[slot]
            if echoed == sequence:
                del self._sent[slot]
                self._echoed[slot] = sequence
                if status == ARMED:
                    self._armed[slot] = sequence, permit.number
                news.append(Echo(permit.number, status))
        for slot, (sequence, number) in list(self._armed.items()):
            if echoes[slot] != (sequence, ARMED):
                del self._armed[slot]
                if echoes[slot][0] == sequence:
                    news.append(Echo(number, echoes[slot][1]))
        return news

    def unanswered(self) -> list[Permit]:
        """Return the permits that the PLC has not echoed."""
        return [permit for _, permit in self._sent.values()]
