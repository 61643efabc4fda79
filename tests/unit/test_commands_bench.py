from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zmq

from edge.clock import now_ns
from edge.commands import bench, bench_measure
from edge.commands.bench_line import BenchCamera, TimedEngine, bench_config, bench_gateway
from edge.config import StationConfig
from edge.engine.null import NullEngine
from edge.errors import EngineError
from edge.station.inspection import WARM_UP
from edge.wire import messages as wire
from edge.wire.publisher import Progress, Publisher
from edge.wire.sockets import Dealer

T0 = 1_000_000_000
MS = 1_000_000


def record(number: int, t1_ms: float, t2_ms: float, cause: str = "clean", sent: bool = True) -> bytes:
    """One line of the outcomes' file; T3 is 0.25 ms after T2."""
    t2 = T0 + int(t2_ms * MS)
    return wire.encode(
        wire.PartRecord(
            station="bench",
            lane=0,
            part=number,
            count=number,
            outcome="PASS" if cause == "clean" else "NO_DECISION",
            cause=cause,
            rule="",
            disposition="",
            findings=[],
            tag="",
            t0_ns=T0,
            t1_ns=T0 + int(t1_ms * MS),
            t2_ns=t2,
            t3_ns=t2 + MS // 4 if sent else None,
            t4_ns=None,
            recipe="r",
            model="m",
            engine="null",
            precision="none",
            version="0",
            wall="",
            session=1,
        )
    )


def timed(runs_ms: list[tuple[float, float]]) -> TimedEngine:
    engine = TimedEngine(NullEngine((4, 4, 1)), len(runs_ms) + 3)
    for row, (start, end) in enumerate(runs_ms):
        engine.runs_ns[row] = T0 + int(start * MS), T0 + int(end * MS)
    engine.count = len(runs_ms)
    return engine


@pytest.mark.parametrize(("color", "shape"), [("mono8", (60, 700)), ("bgr8", (60, 700, 3)), ("rgb8", (60, 700, 3))])
def test_the_camera_copies_surfaces_in_turn(color: str, shape: tuple[int, ...]) -> None:
    slot = np.zeros(shape, np.uint8)
    with BenchCamera(700, 60, color) as camera:  # type: ignore[arg-type]
        seen = []
        for number in (1, 2):
            camera.software_trigger(T0)
            info = camera.grab(slot, 0.0)
            assert info is not None
            assert (info.counter, info.exposed_ns, info.intact) == (number, T0, True)
            assert slot.std() > 1
            seen.append(slot.copy())
        assert not np.array_equal(*seen)
        assert camera.grab(slot, 0.0) is None


def test_a_timed_engine_is_the_other_engine_and_its_times() -> None:
    with NullEngine((4, 4, 1), candidates=3, duration_ms=2) as engine:
        wrapped = TimedEngine(engine, 2)
        assert wrapped.input is engine.input
        for _ in range(WARM_UP):
            wrapped.run(wrapped.input)
        assert wrapped.count == 0, "the warm-up looks at no part"
        before = now_ns()
        for _ in range(3):  # one more than there is room for
            assert wrapped.run(wrapped.input) is engine.run(engine.input)
        assert wrapped.count == 3
        spans = np.diff(wrapped.runs_ns, axis=1)
        assert (spans >= 2 * MS).all()
        assert (wrapped.runs_ns >= before).all()


def test_samples_join_each_part_with_its_own_run(tmp_path: Path) -> None:
    file = tmp_path / "outcomes"
    lines = [
        record(1, 0, 6),
        record(2, 10, 17),
        record(3, 20, 20.5, "pool_exhausted"),  # no run
        record(5, 40, 49),  # acknowledged before part 4
        record(4, 30, 38),
        record(6, 50, 51, "station_stopping"),
    ]
    file.write_bytes(b"\n".join(lines) + b"\n")
    samples = bench_measure.samples(file, timed([(1, 5), (11, 16), (31, 37), (41, 48), (50.5, 55)]), first=1)
    assert samples.tolist() == [[7, 7.25, 5], [8, 8.25, 6], [9, 9.25, 7]]


@pytest.mark.parametrize("run", [(9.9, 16), (11, 17.1)])
def test_a_run_outside_its_part_is_refused(run: tuple[float, float], tmp_path: Path) -> None:
    file = tmp_path / "outcomes"
    file.write_bytes(record(1, 0, 6) + b"\n" + record(2, 10, 17))
    with pytest.raises(EngineError, match="Part 2 ended as clean and not by the engine's run"):
        bench_measure.samples(file, timed([(1, 5), run]), first=0)


def test_parts_that_were_never_sent_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "outcomes"
    file.write_bytes(record(1, 0, 6, sent=False))
    with pytest.raises(EngineError, match="None of 1 parts"):
        bench_measure.samples(file, timed([(1, 5)]), first=0)


def test_figures_are_medians_and_the_overhead_is_by_part() -> None:
    sent = np.array([6.0, 7.0, 20.0])
    engine = np.array([5.0, 5.0, 18.0])
    parts = np.stack([sent - 0.5, sent, engine], axis=1)
    figures = bench_measure.figures("fp32", np.array([4.0, 5.0, 9.0]), parts, period_ms=10.6)
    assert (figures.bare_ms, figures.engine_ms, figures.end_to_end_ms, figures.ratio) == (5, 5, 7, 1.4)
    assert figures.overhead_p50_ms == 2
    assert figures.mean_ms == 10.5
    assert figures.parts == 3
    assert figures.steady
    assert not bench_measure.figures("fp32", np.array([5.0]), parts, period_ms=10.5).steady


def test_the_gateway_grants_and_acknowledges(tmp_path: Path) -> None:
    config = bench_config(bench.default_config(), tmp_path)
    endpoint = config.gateway.endpoint
    assert endpoint is not None
    with bench_gateway(endpoint), zmq.Context[zmq.Socket[bytes]]() as context:
        dealer = Dealer(context, endpoint)
        publisher = Publisher(config, dealer, "instance")
        give_up = now_ns() + 20_000 * MS
        while publisher.session == 0 and now_ns() < give_up:
            publisher.tick(now_ns(), True, Progress(0, 0, 0, 0))
            dealer.socket.poll(50)
            publisher.receive(now_ns())
        assert publisher.session == 1
        publisher.close()


def test_a_failure_in_the_measuring_process_keeps_its_remedy() -> None:
    with pytest.raises(EngineError, match="not a folder") as caught:
        bench._in_process(bench_measure.ready, bench_config(unknown_model(), Path("/tmp")), 0)
    assert caught.value.remedy == "give the path of a folder with a manifest.toml."


def unknown_model() -> StationConfig:
    config = bench.default_config()
    return config.model_copy(update={"model": config.model.model_copy(update={"package": "/nowhere"})})
