"""Loading a model beside one that decides: what is answered, what fails, and what is given back, with real threads."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest
from numpy.typing import NDArray

from edge import config as cfg
from edge.core.part import Identity, Verdict
from edge.core.pool import Purpose
from edge.core.rules import Rule
from edge.errors import EdgeError, GoldenMismatch
from edge.station import activation, memory
from edge.station.activation import Activation, Loaded
from edge.station.hang import EngineHung
from edge.station.inspection import NO_DEADLINE, WARM_UP, Inspects, InspectThread
from edge.station.orders import Order, receiver
from edge.station.pairs import Pair
from edge.wire.control import Answer, Command, Peer
from tests.support_station import PASS, UNKNOWN_CLASS, Rig, rules

PATIENCE_S = 10.0
PEER = Peer(1000, "anna", 7)
RECIPE = '[recipe]\nname = "night"\nrules = [{{ name = "any", classes = [{0}] }}]\n'


class Inspector:
    """Passes everything.

    Attributes:
        policies: of the thread, at each inspection.
        may_go: each inspection waits for it.
    """

    def __init__(self, computes_s: float = 0.0, waits_s: float = 0.0) -> None:
        self.policies: list[int] = []
        self.may_go, self._computes_s, self._waits_s = threading.Event(), computes_s, waits_s
        self.may_go.set()

    def inspect(self, frame: NDArray[np.uint8], rules: Sequence[Rule]) -> Verdict:  # noqa: ARG002
        """Return PASS."""
        assert self.may_go.wait(PATIENCE_S)
        time.sleep(self._waits_s)
        end = time.thread_time() + self._computes_s
        while time.thread_time() < end:
            pass
        self.policies.append(os.sched_getscheduler(0))
        return PASS


class Bench:
    """A station on a virtual clock, and a real activation that loads what the test says."""

    def __init__(self) -> None:
        self.rig = Rig().grant()
        self.orders: SimpleQueue[Order] = SimpleQueue()
        self.inspector = Inspector()
        self.error: Exception | None = None
        self.may_load = threading.Event()
        self.may_load.set()
        self.open: list[str] = []
        self.asked: list[cfg.StationConfig] = []
        self.kept: list[Pair] = []
        self.posted: SimpleQueue[object] = SimpleQueue()
        self.activation = Activation(
            self.rig.config,
            self.load,
            self._thread,
            self.orders.put,
            self.rig.station.changes,
            self._changed,
            lambda: self.rig.now,
        )
        others = {"activate": self.activation.activate, "rollback": self.activation.rollback}
        self.receive = receiver(self.orders.put, others=others, details=self.activation.details)

    @contextmanager
    def load(self, config: cfg.StationConfig) -> Iterator[Loaded]:
        """Load what the test says; ``open`` names what was not given back."""
        self.asked.append(config)
        assert self.may_load.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        name = Path(config.model.package).name
        self.open.append(name)
        try:
            yield Loaded(Identity(name, "e", "p"), self.inspector, rules)
        finally:
            self.open.remove(name)

    def _thread(self, inspector: Inspects) -> InspectThread:
        return InspectThread(inspector, self.rig.pool, self.posted.put)

    def _changed(self, pair: Pair) -> str:
        self.kept.append(pair)
        return " Kept."

    def command(self, name: str, **arguments: str) -> Answer:
        """Return what is answered at once; an order that follows is carried out."""
        command = Command(name, dict(arguments), PEER)
        self.receive(command)
        if name == "rollback":
            self.carry_out()
        return command.wait(0.0)

    def carry_out(self) -> None:
        """Let the signal thread take the next order."""
        self.rig.post(self.orders.get(timeout=PATIENCE_S))

    def status(self) -> dict[str, str]:
        """Return how far the activation is."""
        told: dict[str, str] = self.activation.details()["activation"]
        return told

    def activate(self, name: str = "b", **arguments: str) -> dict[str, str]:
        """Activate, and return how it ended."""
        answer = self.command("activate", package=f"/{name}", **arguments)
        assert answer.ok, answer.text
        self.carry_out()
        return self.status()

    def current(self) -> tuple[str, str]:
        """Return model and recipe in force."""
        pair = self.rig.station.changes.current
        return pair.model.identity.model, pair.recipe.name


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.may_load.set()
    made.inspector.may_go.set()
    made.activation.close()
    assert made.open == [], "an engine was not given back"


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_model_is_loaded_and_warmed_before_it_comes_into_force_with_its_recipe(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "night.toml"
    file.write_text(RECIPE.format(""))
    bench.may_load.clear()
    answer = bench.command("activate", package="/b", recipe=str(file), engine="openvino", precision="int8")
    assert answer.ok
    assert answer.extra["activation"]["state"] == "loading"
    assert bench.current() == ("", "first"), "nothing changes until the model is ready"
    bench.may_load.set()
    bench.carry_out()
    assert bench.current() == ("b", "night")
    assert bench.inspector.policies, "it came into force cold"
    told = bench.status()
    assert (told["state"], told["package"]) == ("active", "/b")
    assert told["text"].endswith("recipe night. Kept.")
    model = bench.asked[0].model
    assert (model.package, model.engine, model.precision) == ("/b", "openvino", "int8")
    assert bench.kept == [bench.rig.station.changes.current]
    assert bench.activation.details()["rollback"] == ""


def test_without_a_recipe_the_one_in_force_at_the_change_holds(bench: Bench) -> None:
    bench.may_load.clear()
    assert bench.command("activate", package="/b").ok
    until(lambda: bool(bench.asked))
    mended = cfg.RecipeConfig(name="mended", rules=(cfg.RuleConfig(name="r"),))
    bench.rig.station.changes.recipe(mended, bench.rig.now)
    bench.may_load.set()
    bench.carry_out()
    assert bench.current() == ("b", "mended")
    assert bench.rig.station.changes.current.rules == rules(mended)


@pytest.mark.parametrize("error", [GoldenMismatch("It strays.", "prepare it again."), RuntimeError("a library's own")])
def test_what_cannot_be_loaded_leaves_the_old_pair_and_is_told(bench: Bench, error: Exception) -> None:
    bench.error = error
    told = bench.activate()
    problem = error.problem if isinstance(error, EdgeError) else "a library's own"
    assert told["state"] == "failed"
    assert problem in told["text"]
    assert told["remedy"]
    assert bench.current() == ("", "first")
    assert bench.kept == []
    kind, text, data = bench.rig.reports.notes[-1]
    assert kind == "model_failed"
    assert problem in text
    assert (data["user"], data["package"]) == ("anna", "/b")
    bench.error = None
    assert bench.activate()["state"] == "active", "a failure must not bar the next one"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({}, "package"),
        ({"package": "b"}, "whole path"),
        ({"package": "/b", "engine": "steam"}, "engine"),
        ({"package": "/b", "precision": "fp8"}, "precision"),
        ({"package": "/b", "recipe": "/none.toml"}, "cannot be read"),
        ({"package": "/b", "recipe": "night.toml"}, "whole path"),
        ({"package": "/b", "colour": "red"}, "colour"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_at_once(bench: Bench, arguments: dict[str, str], word: str) -> None:
    answer = bench.command("activate", **arguments)
    assert not answer.ok
    assert word in f"{answer.text} {answer.extra['remedy']}"
    assert bench.asked == []


def test_a_recipe_that_the_new_model_cannot_serve_leaves_the_old_pair(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "night.toml"
    file.write_text(RECIPE.format(f'"{UNKNOWN_CLASS}"'))
    told = bench.activate(recipe=str(file))
    assert told["state"] == "failed"
    assert UNKNOWN_CLASS in told["text"]
    assert bench.current() == ("", "first")


def test_a_recipe_that_became_unservable_while_the_model_was_loaded_leaves_the_old_pair(bench: Bench) -> None:
    bench.may_load.clear()
    assert bench.command("activate", package="/b").ok
    until(lambda: bool(bench.asked))
    changes = bench.rig.station.changes
    object.__setattr__(
        changes.current.model, "rules", lambda _: ()
    )  # the old model knows a class that the new does not
    unknown = cfg.RecipeConfig(name="mended", rules=(cfg.RuleConfig(name="r", classes=(UNKNOWN_CLASS,)),))
    changes.recipe(unknown, bench.rig.now)
    bench.may_load.set()
    bench.carry_out()
    assert bench.status()["state"] == "failed"
    assert UNKNOWN_CLASS in bench.status()["text"]
    assert bench.current() == ("", "mended")


def test_a_second_activation_is_refused_while_one_runs(bench: Bench) -> None:
    bench.may_load.clear()
    assert bench.command("activate", package="/b").ok
    answer = bench.command("activate", package="/c")
    assert not answer.ok
    assert "/b is being loaded" in answer.text
    bench.may_load.set()
    bench.carry_out()
    assert bench.current()[0] == "b"
    assert len(bench.asked) == 1


def test_going_back_is_at_once_and_gives_the_withdrawn_model_back(bench: Bench) -> None:
    assert not bench.command("rollback").ok
    bench.activate("b")
    answer = bench.command("rollback")
    assert answer.ok
    assert "recipe first" in answer.text
    assert answer.text.endswith("Kept.")
    assert bench.current() == ("", "first")
    assert bench.status()["state"] == "rolled back"
    assert bench.status()["text"] == answer.text
    assert bench.open == ["b"], "its last parts may still be open"
    bench.rig.wait_ms(300)
    until(lambda: bench.open == [])
    assert not bench.command("rollback").ok


def test_a_rollback_gives_up_what_is_being_loaded(bench: Bench) -> None:
    bench.activate("b")
    bench.may_load.clear()
    assert bench.command("activate", package="/c").ok
    assert bench.command("rollback").ok
    bench.may_load.set()
    bench.carry_out()
    assert bench.current() == ("", "first")
    assert "rollback" in bench.status()["text"]
    until(lambda: "c" not in bench.open)


def test_only_one_model_is_kept_beside_the_one_in_force(bench: Bench) -> None:
    for name in ("b", "c", "d"):
        assert bench.activate(name)["state"] == "active"
        bench.rig.wait_ms(300)
    until(lambda: bench.open == ["c", "d"])
    assert bench.command("rollback").ok
    assert bench.current()[0] == "c"


def test_what_takes_too_long_does_not_come_into_force(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation, "LOAD_S", 0.01)
    bench.may_load.clear()
    assert bench.command("activate", package="/b").ok
    bench.carry_out()
    assert bench.status()["state"] == "failed", "nobody should wait for what may never return"
    kind, text, _ = bench.rig.reports.notes[-1]
    assert kind == "model_failed"
    assert "longer than" in text
    answer = bench.command("activate", package="/c")
    assert "does not return" in answer.text
    bench.may_load.set()
    bench.carry_out()
    assert "longer than" in bench.status()["text"]
    assert bench.current()[0] == ""
    until(lambda: bench.open == [])
    assert [kind for kind, _, _ in bench.rig.reports.notes].count("model_failed") == 1


def test_what_was_loaded_in_time_is_not_given_up_afterwards(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation, "LOAD_S", 0.2)
    assert bench.activate()["state"] == "active"
    time.sleep(0.3)
    assert bench.orders.empty()
    assert bench.status()["state"] == "active"


def test_threads_that_a_failed_loading_leaves_behind_run_as_those_that_decide(bench: Bench) -> None:
    leave, workers = threading.Event(), []

    class Library(Inspector):
        def inspect(self, frame: NDArray[np.uint8], rules: Sequence[Rule]) -> Verdict:  # noqa: ARG002
            workers.append(threading.Thread(target=leave.wait, args=(PATIENCE_S,)))
            workers[-1].start()
            raise RuntimeError("The library failed, and keeps its threads.")

    bench.inspector = Library()
    try:
        assert bench.activate()["state"] == "failed"
        for worker in workers:
            assert worker.native_id is not None
            assert os.sched_getscheduler(worker.native_id) == os.sched_getscheduler(0)
    finally:
        leave.set()
    assert workers


def test_a_model_too_slow_for_the_line_is_refused(bench: Bench) -> None:
    bench.inspector = Inspector(computes_s=0.0701)
    told = bench.activate()
    assert "the line leaves 70 ms" in told["text"]
    assert bench.current()[0] == ""
    bench.inspector = Inspector(waits_s=0.0701)
    assert bench.activate()["state"] == "active", "what waits on a busy machine is not slow"


def test_a_machine_without_memory_for_another_model_refuses(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LEAST_MB", 1 << 30)
    told = bench.activate()
    assert "MB are available" in told["text"]
    assert bench.asked == []


def test_an_engine_that_hangs_as_it_is_warmed_is_not_closed_under_its_own_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.station.inspection.WARM_UP_S", 0.01)
    monkeypatch.setattr(InspectThread.stop, "__defaults__", (0.01,))
    bench.inspector.may_go.clear()
    told = bench.activate()
    assert "did not inspect" in told["text"]
    assert bench.open == ["b"]
    with pytest.raises(EngineHung):
        bench.activation.close()
    bench.inspector.may_go.set()
    until(lambda: len(bench.inspector.policies) == WARM_UP)
    until(lambda: all(thread.name != "inspect" for thread in threading.enumerate()))


def test_the_end_of_the_station_gives_up_what_is_being_loaded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation, "END_S", 0.01)
    bench.may_load.clear()
    assert bench.command("activate", package="/b").ok
    with pytest.raises(EngineHung, match="does not return"):
        bench.activation.close()
    bench.may_load.set()
    bench.carry_out()
    assert bench.current()[0] == ""
    assert "stopped" in bench.status()["text"]


def test_loading_and_warming_run_behind_and_deciding_as_before(bench: Bench) -> None:
    before = os.sched_getscheduler(0)
    bench.activate()
    assert set(bench.inspector.policies) == {os.SCHED_BATCH}
    bench.inspector.policies.clear()
    lease = bench.rig.pool.lease(Purpose.INSPECTION)
    assert lease is not None
    bench.rig.station.changes.current.model.inspect.submit(1, lease, NO_DEADLINE, ())
    bench.posted.get(timeout=PATIENCE_S)
    assert bench.inspector.policies == [before]
