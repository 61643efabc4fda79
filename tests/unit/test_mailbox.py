"""The mailbox: nothing posted is lost, and its descriptor is readable exactly while there is something."""

from __future__ import annotations

import select
import threading
from collections.abc import Iterator

import pytest

from edge.station.mailbox import Mailbox


@pytest.fixture
def box() -> Iterator[Mailbox[tuple[int, int]]]:
    mailbox: Mailbox[tuple[int, int]] = Mailbox()
    yield mailbox
    mailbox.close()


def readable(mailbox: Mailbox[tuple[int, int]], timeout_s: float = 0) -> bool:
    return bool(select.select([mailbox.fd], [], [], timeout_s)[0])


def test_an_empty_box_is_not_readable_and_gives_nothing(box: Mailbox[tuple[int, int]]) -> None:
    assert not readable(box)
    assert box.take() == []


def test_events_come_in_order_and_once(box: Mailbox[tuple[int, int]]) -> None:
    for n in range(100):
        box.post((0, n))
    assert readable(box)
    assert box.take() == [(0, n) for n in range(100)]
    assert not readable(box)
    assert box.take() == []


def test_many_threads_post_and_one_that_sleeps_on_the_descriptor_gets_all(box: Mailbox[tuple[int, int]]) -> None:
    threads, each = 4, 500

    def post(source: int) -> None:
        for n in range(each):
            box.post((source, n))

    senders = [threading.Thread(target=post, args=(source,)) for source in range(threads)]
    for sender in senders:
        sender.start()
    got: list[tuple[int, int]] = []
    while len(got) < threads * each and readable(box, timeout_s=20):
        got += box.take()
    for sender in senders:
        sender.join()
    assert len(got) == threads * each, "an event was lost, or nobody was woken for it"
    for source in range(threads):
        assert [n for s, n in got if s == source] == list(range(each))
    box.take()
    assert not readable(box)
