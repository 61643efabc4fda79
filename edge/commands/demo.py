"""`edge demo`: referee, gateway, station and monitor in one go, on simulated plates, and a summary that adds up."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from rich.console import Console
from rich.live import Live
from rich.table import Table

from edge.clock import NS_PER_MS
from edge.commands.demo_show import show
from edge.commands.processes import Line, ProcessFailed
from edge.config import ActuatorConfig, LimitsConfig, LineConfig, PlcTimingConfig
from edge.core import budget
from edge.errors import WireError
from edge.model.package import load_package
from edge.wire import messages as wire
from edge.wire.sockets import connect, receive

PITCH_MM = 100
LATE_CAUSES = ("compute_timeout", "trigger_late", "frame_missing")
_STATUS_NS = 1_500 * NS_PER_MS  # longer than a status period: the last status of each process has come


@dataclass
class Watch:
    """What the processes published during the run."""

    parts: dict[int, wire.PartRecord] = field(default_factory=dict)
    station: wire.StationStatus | None = None
    gateway: wire.GatewayStatus | None = None

    def take(self, data: bytes) -> None:
        """Take one published message."""
        message = wire.decode_published(data)
        if isinstance(message, wire.PartRecord):
            self.parts[message.part] = message
        elif isinstance(message, wire.StationStatus):
            self.station = message
        else:
            self.gateway = message


def demo(
    parts: int | None,
    rate: float,
    seed: int,
    console: Console,
    metrics_port: int = 0,
    surface: str = "steel",
    images: Path | None = None,
    package: Path | None = None,
) -> dict[str, Any]:
    """Run the line and return the summary.

    Args:
        rate: plates a minute.
        seed: of the plates; below those that training uses.
        console: where the live table is drawn.
        metrics_port: of the monitor; 0 takes a free one.
        parts, surface, images, package: what is shown, and to which model, as for ``demo_show.show``.

    Raises:
        BudgetError: the demo's gate cannot hold that rate.
        ConfigError, DatasetError: what is to be shown cannot be.
        EdgeError: a process of the line failed; its log says why.
    """
    speed = rate / 60 * PITCH_MM
    belt = LineConfig(speed_min_mm_s=speed, speed_max_mm_s=speed)
    budget.held(
        budget.compute(belt, ActuatorConfig(), PlcTimingConfig(), LimitsConfig().ceiling_ms), f"{rate:g} a minute"
    )
    shown = show(surface, images, package, parts, seed)
    score = load_package(shown.package).manifest.score.recommended
    recipe = f'name = "demo"\nrules = [{{ name = "any defect", min_score = {score} }}]'
    limits = f"speed_min_mm_s = {speed}\nspeed_max_mm_s = {speed}"
    watch = Watch()
    with (
        Line(shown.package.resolve(), recipe, limits, shown.frame) as line,
        zmq.Context[zmq.Socket[bytes]]() as context,
    ):
        line.start_plant(
            *("--parts", str(shown.plates), "--speed", str(speed), "--v-max", str(speed)),
            *shown.options(line.folder, seed),
        )
        line.start_gateway()
        station, gateway = str(line.folder / "station.toml"), str(line.folder / "gateway.toml")
        line.start("monitor", "monitor", "--station", station, "--gateway", gateway, "--port", str(metrics_port))
        subscriber = connect(context, zmq.SUB, line.endpoint("telemetry"))
        subscriber.connect(line.endpoint("gateway-telemetry"))
        line.start_station()
        try:
            _follow(line, subscriber, watch, shown.plates, console)
            line.stop("station")
            _drain(subscriber, watch, time.monotonic_ns() + 200 * NS_PER_MS)
            line.stop("gateway")
        finally:
            subscriber.close()
        return summarise(watch, line.summary(), line.records("plates.jsonl"), line.records("outcomes.jsonl"))


def _follow(line: Line, subscriber: zmq.Socket[bytes], watch: Watch, parts: int, console: Console) -> None:
    """Show the live table until the plant has ended and the last status of every process has come."""
    ended_ns: int | None = None
    with Live(render(watch, parts), console=console, refresh_per_second=5, transient=True) as live:
        while ended_ns is None or time.monotonic_ns() < ended_ns + _STATUS_NS:
            for name in ("gateway", "station", "monitor"):
                line.check(name)
            _drain(subscriber, watch, time.monotonic_ns() + 100 * NS_PER_MS)
            live.update(render(watch, parts))
            if ended_ns is None and not line.running("plant"):
                if code := line.wait("plant", 1.0):
                    raise ProcessFailed(
                        f"The plant ended with exit code {code}: {line.log('plant')}", "mend what it says."
                    )
                ended_ns = time.monotonic_ns()


def _drain(subscriber: zmq.Socket[bytes], watch: Watch, until_ns: int) -> None:
    while (left := until_ns - time.monotonic_ns()) > 0:
        if subscriber.poll(left // NS_PER_MS + 1):
            while (frames := receive(subscriber)) is not None:
                try:
                    watch.take(frames[-1])
                except WireError:
                    continue  # a stranger on the socket; the files are what is reconciled


def render(watch: Watch, parts: int) -> Table:
    """Return the live table."""
    outcomes = Counter(record.outcome for record in watch.parts.values())
    latency = latencies(list(watch.parts.values()))
    state = f"{watch.station.state} {watch.station.reason}".strip() if watch.station else "STARTING"
    table = Table(title="edge demo", caption=state, min_width=76)
    for column in ("parts", "pass", "reject", "no decision", "T0 to T4 p50", "p99", "last"):
        table.add_column(column, justify="right", no_wrap=True)
    last = next(reversed(watch.parts.values()), None)
    table.add_row(
        f"{len(watch.parts)}/{parts}",
        f"[green]{outcomes['PASS']}",
        f"[red]{outcomes['REJECT']}",
        f"[yellow]{outcomes['NO_DECISION']}",
        f"{latency['p50']:.1f} ms",
        f"{latency['p99']:.1f} ms",
        f"{last.part} {last.outcome}" if last else "",
    )
    return table


def latencies(records: list[wire.PartRecord]) -> dict[str, float]:
    """Return p50, p99 and max of T0 to T4, in ms; zeros where nothing was acknowledged."""
    values = sorted((r.t4_ns - r.t0_ns) / NS_PER_MS for r in records if r.t4_ns is not None)
    if not values:
        return {"p50": 0.0, "p99": 0.0, "max": 0.0}
    p99 = values[min(len(values) - 1, int(len(values) * 0.99))]
    return {"p50": round(statistics.median(values), 3), "p99": round(p99, 3), "max": round(values[-1], 3)}


def summarise(
    watch: Watch, referee: dict[str, Any], plates: list[dict[str, Any]], outcomes: list[dict[str, Any]]
) -> dict[str, Any]:
    """Bring the three witnesses together: referee, station and gateway."""
    counts = Counter(record["outcome"] for record in outcomes)
    missed = sum(r["cause"] in LATE_CAUSES or r["disposition"] == "LATE" for r in outcomes)
    station = watch.station
    return {
        "parts": referee["parts"],
        "pass": counts["PASS"],
        "reject": counts["REJECT"],
        "no_decision": counts["NO_DECISION"],
        "detection_rate": _share(referee["defective_rejected_by_rule"], referee["defective"]),
        "false_reject_rate": _share(referee["good_rejected_by_rule"], referee["good"]),
        "defective": referee["defective"],
        "good": referee["good"],
        "escapes": referee["defective_in_good_bin"],
        "overkill": referee["good_rejected_by_rule"],
        "by_class": by_class(plates),
        "good_bin": referee["good_bin"],
        "reject_bin": referee["reject_bin"],
        "wrong_part": referee["wrong_part"],
        "escaped_no_permit": referee["escaped_no_permit"],
        "latency_ms": latencies(list(watch.parts.values())),
        "deadline_ms": station.deadline_ms if station else 0.0,
        "missed": missed,
        "triggers": station.triggers if station else 0,
        "outcomes": len(outcomes),
        "acknowledged": station.acknowledged if station else 0,
        "engine": f"{station.engine} {station.precision}" if station else "",
        "model": station.model if station else "",
        "problems": (problems := discrepancies(watch, referee, plates, outcomes)),
        "reconciled": not problems,
    }


def _share(part: float, whole: float) -> float | None:
    """Return a share, None where there is nothing that it could be a share of."""
    return round(part / whole, 4) if whole else None


def by_class(plates: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Return how many plates showed a defect of each class, and how many of these escaped into the good bin."""
    found: dict[str, dict[str, int]] = {}
    for plate in plates:
        for name in plate["classes"]:
            count = found.setdefault(name, {"plates": 0, "escapes": 0})
            count["plates"] += 1
            count["escapes"] += plate["bin"] == "good"
    return dict(sorted(found.items()))


def discrepancies(
    watch: Watch, referee: dict[str, Any], plates: list[dict[str, Any]], outcomes: list[dict[str, Any]]
) -> list[str]:
    """Return every equation that does not hold, in words; none is what must come out."""
    station, gateway = watch.station, watch.gateway
    if station is None or gateway is None:
        return ["station or gateway never published a status"]
    numbers = Counter(int(r["part"]) for r in outcomes)
    triggered = {int(plate["number"]) for plate in plates}
    rejected = sum(gateway.rejected.values())
    equations = {
        "every plate that met the eye has an outcome": triggered == set(numbers),
        "no plate has two outcomes": max(numbers.values(), default=0) <= 1,
        "station: triggers = outcomes + open": station.triggers == sum(station.outcomes.values()) + station.open,
        "station: nothing is open": station.open == 0,
        "station and its file agree": sum(station.outcomes.values()) == len(outcomes),
        "every outcome was acknowledged": station.acknowledged == len(outcomes),
        "the PLC counted every plate": gateway.plc_triggers == referee["parts"],
        "gateway: plc_triggers = announced + unannounced": gateway.plc_triggers
        == gateway.announced + gateway.unannounced,
        "gateway: plc_triggers = permitted + rejected + pending": gateway.plc_triggers
        == gateway.permitted + rejected + gateway.pending,
        "every permitted part is in the good bin": gateway.permitted == gateway.executed == referee["good_bin"],
        "every PASS in time was permitted": gateway.permitted
        == sum(r["outcome"] == "PASS" and r["disposition"] == "ACCEPTED" for r in outcomes),
        "no part followed another part's frame": referee["wrong_part"] == 0,
        "no part went through without a permit": referee["escaped_no_permit"] == 0,
        "the referee judged every good part": referee["unjudged"] == 0,
    }
    return [text for text, holds in equations.items() if not holds]


def report(summary: dict[str, Any], console: Console) -> None:
    """Print the summary for a person."""
    table = Table(title="edge demo: what came of it", show_header=False, min_width=76)
    table.add_column(no_wrap=True)
    table.add_column()
    latency = summary["latency_ms"]
    rows = {
        "parts": _truth(summary),
        "outcomes": f"{summary['pass']} pass, {summary['reject']} reject, {summary['no_decision']} without decision",
        "bins": f"{summary['good_bin']} good, {summary['reject_bin']} rejected",
        "detection rate": _rate(summary["detection_rate"], "of the defective plates rejected by a rule"),
        "escapes": _escapes(summary),
        "overkill": _rate(summary["false_reject_rate"], "of the good plates rejected by a rule"),
        "T0 to T4": f"p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms, max {latency['max']:.1f} ms",
        "deadline": f"{summary['deadline_ms']:g} ms, {summary['missed']} missed",
        "wrong part": f"{summary['wrong_part']}",
        "escaped": f"{summary['escaped_no_permit']} in the good bin without a permit",
        "decided by": f"{summary['model']} on {summary['engine']}",
        "reconciled": "[green]yes" if summary["reconciled"] else "[red]NO: " + "; ".join(summary["problems"]),
    }
    for name, text in rows.items():
        table.add_row(name, text)
    console.print(table)


def _truth(summary: dict[str, Any]) -> str:
    unknown = summary["parts"] - summary["defective"] - summary["good"]
    nobody = f", {unknown} of which nobody knows" if unknown else ""
    return f"{summary['parts']}: {summary['defective']} defective, {summary['good']} good{nobody}"


def _rate(rate: float | None, of: str) -> str:
    return f"{rate:.1%} {of}" if rate is not None else "not measurable: no such plate was shown"


def _escapes(summary: dict[str, Any]) -> str:
    if not summary["defective"]:
        return "not measurable: no such plate was shown"
    classes = summary["by_class"].items()
    missed = ", ".join(f"{name} {n['escapes']} of {n['plates']}" for name, n in classes if n["escapes"])
    return f"{summary['escapes']} of {summary['defective']}{f' ({missed})' if missed else ''}"
