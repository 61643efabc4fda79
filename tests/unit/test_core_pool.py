"""The frame pool: no slot is lost, shared, or used after its lease."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from edge.core.pool import POISON, FramePool, Lease, Purpose, StaleLease, plain_allocator

SLOW = [HealthCheck.too_slow]

SHAPE = (2, 3)
purposes = st.sampled_from(list(Purpose))


class PoolMachine(RuleBasedStateMachine):
    live = Bundle("live")
    ended = Bundle("ended")

    @initialize(slots=st.integers(1, 6), quotas=st.lists(st.integers(0, 6), min_size=3, max_size=3))
    def begin(self, slots: int, quotas: list[int]) -> None:
        self.quotas = dict(zip(Purpose, quotas, strict=True))
        self.slots = slots
        self.pool = FramePool(slots, SHAPE, self.quotas, poison=True)
        self.model: dict[int, tuple[Lease, Purpose, int]] = {}  # slot -> lease, holder, mark written
        self.marks = 0

    def held(self, purpose: Purpose) -> int:
        return sum(holder is purpose for _, holder, _ in self.model.values())

    @rule(target=live, purpose=purposes)
    def lease(self, purpose: Purpose) -> object:
        may = len(self.model) < self.slots and self.held(purpose) < self.quotas[purpose]
        lease = self.pool.lease(purpose)
        assert (lease is not None) == may
        if lease is None:
            return multiple()
        assert lease.slot not in self.model, "one slot was leased twice"
        self.marks = self.marks % 100 + 1
        self.pool.frame(lease)[...] = self.marks
        self.model[lease.slot] = (lease, purpose, self.marks)
        return lease

    @rule(lease=live, purpose=purposes)
    def hand_over(self, lease: Lease, purpose: Purpose) -> None:
        _, holder, mark = self.model[lease.slot]
        may = purpose is holder or self.held(purpose) < self.quotas[purpose]
        assert self.pool.hand_over(lease, purpose) == may
        self.model[lease.slot] = (lease, purpose if may else holder, mark)

    @rule(target=ended, lease=consumes(live))
    def release(self, lease: Lease) -> Lease:
        view = self.pool.frame(lease)
        self.pool.release(lease)
        del self.model[lease.slot]
        assert (view == POISON).all(), "a view that outlives its lease must show"
        return lease

    @rule(lease=ended, purpose=purposes)
    def stale_use(self, lease: Lease, purpose: Purpose) -> None:
        for use in (self.pool.release, self.pool.frame, lambda old: self.pool.hand_over(old, purpose)):
            with pytest.raises(StaleLease):
                use(lease)

    @invariant()
    def every_slot_is_accounted_for(self) -> None:
        if hasattr(self, "pool"):
            counts = self.pool.occupancy()
            assert counts == {**{p.value: self.held(p) for p in Purpose}, "free": self.slots - len(self.model)}
            assert sum(counts.values()) == self.slots

    @invariant()
    def nobody_writes_into_another_lease(self) -> None:
        for lease, _, mark in getattr(self, "model", {}).values():
            assert (self.pool.frame(lease) == mark).all()

    @invariant()
    def the_reserve_of_capture_is_always_there(self) -> None:
        if hasattr(self, "pool"):
            others = self.quotas[Purpose.INSPECTION] + self.quotas[Purpose.EVIDENCE]
            reserve = min(self.quotas[Purpose.CAPTURE], self.slots - others)
            if self.held(Purpose.CAPTURE) < reserve:
                assert self.pool.occupancy()["free"] > 0


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=SLOW)


def test_frames_lie_side_by_side_in_one_block() -> None:
    blocks: list[np.ndarray] = []

    def allocate(shape: tuple[int, ...]) -> np.ndarray:
        blocks.append(np.zeros(shape, np.uint8))
        return blocks[-1]

    pool = FramePool(3, (4, 5, 3), {Purpose.CAPTURE: 3}, allocate)
    leases = [pool.lease(Purpose.CAPTURE) for _ in range(3)]
    assert [b.shape for b in blocks] == [(3, 4, 5, 3)]
    frames = [pool.frame(lease) for lease in leases if lease]
    assert all(f.shape == (4, 5, 3) and f.dtype == np.uint8 and np.shares_memory(f, blocks[0]) for f in frames)
    assert not np.shares_memory(frames[0], frames[1])


def test_without_poison_a_released_frame_is_untouched() -> None:
    pool = FramePool(1, SHAPE, {Purpose.CAPTURE: 1})
    lease = pool.lease(Purpose.CAPTURE)
    assert lease is not None
    view = pool.frame(lease)
    view[...] = 9
    pool.release(lease)
    assert (view == 9).all()


def test_a_purpose_without_a_quota_gets_nothing_and_no_slots_are_refused() -> None:
    pool = FramePool(2, SHAPE, {Purpose.CAPTURE: 1})
    assert pool.lease(Purpose.EVIDENCE) is None
    with pytest.raises(ValueError, match="0"):
        FramePool(0, SHAPE, {})


def test_threads_share_the_pool_without_losing_a_slot() -> None:
    pool = FramePool(3, SHAPE, dict.fromkeys(Purpose, 2))
    problems: list[str] = []

    def work(mark: int) -> None:
        for _ in range(400):
            lease = pool.lease(Purpose.CAPTURE)
            if lease is None:
                continue
            frame = pool.frame(lease)
            frame[...] = mark
            pool.hand_over(lease, Purpose.INSPECTION)
            if not (frame == mark).all():
                problems.append(f"slot {lease.slot} was shared")
            pool.release(lease)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert problems == []
    assert pool.occupancy() == {"capture": 0, "inspection": 0, "evidence": 0, "free": 3}


def test_plain_memory_is_zeroed_bytes() -> None:
    memory = plain_allocator((2, 3, 4))
    assert (memory.shape, memory.dtype) == ((2, 3, 4), np.uint8)
    assert not memory.any()


def test_a_lease_is_not_handed_to_a_purpose_without_a_quota() -> None:
    pool = FramePool(2, SHAPE, {Purpose.CAPTURE: 2})
    lease = pool.lease(Purpose.CAPTURE)
    assert lease is not None
    assert not pool.hand_over(lease, Purpose.EVIDENCE)
    assert pool.hand_over(lease, Purpose.CAPTURE)


def test_each_use_of_a_slot_has_a_generation_of_its_own() -> None:
    pool = FramePool(1, SHAPE, {Purpose.CAPTURE: 1})
    for generation in (1, 2, 3):
        lease = pool.lease(Purpose.CAPTURE)
        assert lease == Lease(0, generation)
        pool.release(lease)
        with pytest.raises(StaleLease, match=f"slot 0, generation {generation}"):
            pool.frame(lease)


def test_the_pools_size_is_told() -> None:
    assert FramePool(3, SHAPE, {}).slots == 3
    assert FramePool(1, SHAPE, {}).occupancy() == {"capture": 0, "inspection": 0, "evidence": 0, "free": 1}
