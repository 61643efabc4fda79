"""The status page: one plain HTML document, made anew at each request.  Everything shown is escaped."""

from __future__ import annotations

from html import escape

from edge.core.alarms import ALARMS
from edge.core.outcome import CAUSES
from edge.monitor.state import LineState
from edge.wire.messages import JournalStatus

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2"><title>{title}</title>
<style>
body {{ font: 16px/1.4 system-ui, sans-serif; margin: 2rem; max-width: 60rem }}
table {{ border-collapse: collapse; margin-bottom: 1.5rem }}
td, th {{ border: 1px solid #999; padding: .2rem .7rem; text-align: left }}
.good {{ background: #cfc }} .bad {{ background: #fcc }}
</style></head><body>
<h1>{title}</h1>
"""

Row = tuple[str, object]


def render(state: LineState, now_ns: int) -> str:
    """Return the page for ``state`` at ``now_ns``."""
    title = f"{state.station.station}, lane {state.station.lane}" if state.station else "No station heard of"
    return "".join(
        (
            _HEAD.format(title=escape(title)),
            _light("Station", state.station_up(now_ns), _station_says(state)),
            _table("Alarms of the station", list(state.station.alarms.items()) if state.station else []),
            _table("Parts", _part_rows(state)),
            _table("Causes without a decision", _cause_rows(state)),
            _table("Irregularities", _irregular_rows(state)),
            _light("Gateway", state.gateway_up(now_ns), _gateway_says(state)),
            _table("At the gate", _gateway_rows(state)),
            _table("Journals", _journal_rows(state)),
            '<p><a href="/metrics">metrics</a> <a href="/healthz">health</a></p></body></html>\n',
        )
    )


def _station_says(state: LineState) -> str:
    s = state.station
    return f"{s.state} {s.reason} (recipe {s.recipe}, model {s.model}, {s.engine} {s.precision})" if s else "silent"


def _gateway_says(state: LineState) -> str:
    g = state.gateway
    return f"{'PLC answers' if g.plc_ok else 'PLC does not answer'} {g.reason}" if g else "silent"


def _part_rows(state: LineState) -> list[Row]:
    s, part = state.station, state.last_part
    rows: list[Row] = []
    if s is not None:
        rows = [("triggers", s.triggers), *s.outcomes.items(), ("open", s.open)]
        rows.append(("unreconciled", state.station_unreconciled()))
    if part is not None:
        rows.append(("last part", f"{part.part}: {part.outcome}, {part.cause} {part.rule} {part.disposition}"))
    return rows


def _cause_rows(state: LineState) -> list[Row]:
    causes = state.station.causes if state.station else {}
    known = [(CAUSES[c], n) for c, n in causes.items() if n and c in CAUSES and c not in ("clean", "rule")]
    return [(f"{cause.text} {cause.remedy}", n) for cause, n in known]


def _irregular_rows(state: LineState) -> list[Row]:
    s = state.station
    if s is None:
        return []
    rows = [
        *((f"frames lost: {cause}", n) for cause, n in s.lost_frames.items()),
        ("late results", s.late_results),
        ("unknown triggers", s.unknown_triggers),
        ("trigger jumps", s.trigger_jumps),
        ("dropped messages", s.dropped_messages),
        ("lost outcome records", s.outcomes_lost),
        *((f"opened again: {device}", n) for device, n in s.reconnects.items()),
    ]
    return [(name, n) for name, n in rows if n]


def _gateway_rows(state: LineState) -> list[Row]:
    g = state.gateway
    if g is None:
        return []
    rejected = [(f"rejected: {cause}", n) for cause, n in g.rejected.items()]
    unreconciled = state.gateway_unreconciled(), state.gateway_unannounced_difference()
    return [
        ("mode", g.mode),
        *(
            (f"alarm: {name}", f"{text} {ALARMS[name].remedy if name in ALARMS else ''}")
            for name, text in g.alarms.items()
        ),
        ("PLC triggers", g.plc_triggers),
        ("announced", g.announced),
        ("unannounced", g.unannounced),
        ("permitted", g.permitted),
        ("executed", g.executed),
        *((f"permit voided: {cause}", n) for cause, n in g.voided.items()),
        *rejected,
        ("pending", g.pending),
        ("sessions lost", g.sessions_lost),
        ("messages of strangers", g.strangers),
        ("unreconciled", f"{unreconciled[0]} decided, {unreconciled[1]} announced"),
    ]


def _journal_rows(state: LineState) -> list[Row]:
    sides = {"station": state.station, "gateway": state.gateway}
    return [(name, _journal_says(s.journal)) for name, s in sides.items() if s and s.journal != JournalStatus()]


def _journal_says(journal: JournalStatus) -> str:
    counts = f"{journal.recorded} rows on disk, {journal.waiting} wait, {journal.lost} lost"
    return f"{counts}: {journal.problem}" if journal.problem else counts


def _light(name: str, up: bool, text: str) -> str:
    word = "up" if up else "DOWN"
    return f'<p class="{"good" if up else "bad"}"><b>{name} {word}</b>: {escape(text)}</p>\n'


def _table(caption: str, rows: list[Row]) -> str:
    if not rows:
        return ""
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows)
    return f"<table><caption>{escape(caption)}</caption>{body}</table>\n"
