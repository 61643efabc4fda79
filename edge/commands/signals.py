"""The tables of docs/, made from the code: `edge schema tables --write docs/signal.md`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

import msgspec

from edge.commands import config_edit
from edge.config import ChallengeConfig, GuardConfig, HealthConfig, RuleConfig
from edge.core.alarms import ALARMS
from edge.core.modes import Mode
from edge.core.outcome import CAUSES, Disposition
from edge.errors import ConfigError
from edge.gateway.plc import signals, table
from edge.wire import messages

DISPOSITIONS = {
    Disposition.ACCEPTED: "the verdict was taken; a PASS went to the PLC as a permit",
    Disposition.LATE: "the verdict came after the gateway's commit point",
    Disposition.DUPLICATE: "the part already has a verdict",
    Disposition.UNKNOWN: "the PLC has counted no such part, or the part met the eye again",
    Disposition.OLD_SESSION: "the verdict was given under a session that is no longer valid",
    Disposition.FENCED: "the part was triggered before the fence of the present session",
    Disposition.UNANNOUNCED: "the PLC counted a part that the station never mentioned",
    Disposition.UNANSWERED: "the station announced the part and gave no verdict in time",
    Disposition.UNPERMITTED: "a timely PASS that was withheld, could not be written in time, or that the PLC refused",
    Disposition.AMBIGUOUS: "number and count name different parts: neither gets a permit",
    Disposition.COLLATERAL: "a PASS that the gate cannot tell apart from a reject beside it; rejects win",
    Disposition.VOIDED: "a permit, or the claim to one, that was withdrawn before the gate",
    Disposition.EXECUTED: "the PLC opened the gate for this part",
}

REJECTED = {
    "reject": "the station said REJECT",
    "no_decision": "the station said NO_DECISION; its cause is in the part's record",
    "late": "the verdict came after the gateway's commit point",
    "fenced": "triggered before the fence",
    "unanswered": "announced, and no verdict in time",
    "unannounced": "counted by the PLC, and never mentioned by the station",
    "collateral": "too close to a neighbour for the gate to tell them apart",
    "ambiguous": "number and count name different parts",
    "reversed": "the belt ran back by more than the backlash while the part had no permit",
    "re_pass": "the belt had run back, and a known part met the eye again",
    "unknown_position": "an edge behind the furthest that the belt has come, and no known part's",
    "withheld": "a PASS in mode inspect-only, or under a latched fault",
    "session_lost": "the session ended while the part had no permit",
    "not_read": "the PLC counted more parts between two reads than its ring holds",
    "crowded_out": "more parts without a verdict than fit on the belt",
    "permit_unwritten": "the permit could not be written, or the ring was full",
}
"""By the gateway's cause; beside these, `permit_` and a permit status, where the PLC refused the permit."""

VOIDED = {
    "cleared": "the PLC withdrew it: gateway lost, encoder lost, or the belt stopped in the window",
    "fenced": "a later fence overtook it",
    "not_permittable": "the part turned out too long, or a neighbour too close",
    "rejected_at_gate": "the gate ring says that the part was rejected",
    "collateral": "with the `pulse` signal: a neighbour's window without a permit touches this one",
    "overheated": "with the `pulse` signal: the output had been on for `actuator.max_energised_ms`",
    "reversed": "the belt went back (pulse)",
    "session_lost": "the PLC restarted or the encoder's epoch changed: nobody will say",
    "no_word": "the part has met the gate, and the PLC has not said what it did",
}

RULE = {
    "name": "what the operator reads when it fires",
    "classes": "classes of the model that it looks at; without, all",
    "min_score": "lowest score, above 0, up to 1; not below the model's own floor",
    "min_area_px": "smallest area of the box, in square pixels of the frame",
    "min_longer_side_px": "smallest longer side of the box, in pixels",
    "min_length_px": "smallest diagonal of the box, in pixels: the longest straight defect that it can hold",
    "min_area_mm2": "the same area in square millimetres; needs `mm_per_px`",
    "min_longer_side_mm": "the same side in millimetres; needs `mm_per_px`",
    "min_length_mm": "the same diagonal in millimetres; needs `mm_per_px`",
    "zones": "where a finding counts; without, the whole frame",
    "exclude": "where none counts, cut out of `zones`",
    "min_share": "smallest share of the box's area that lies where it counts; at 0 it need only touch",
}
"""By the key of a rule."""

_OF_GATEWAY = ("bypass", "accept_escapes")
"""Alarms of the gateway that `[guard]` does not name: nothing switches them off."""

_MARK = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def markdown(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _registers(rows: Iterable[table.Row]) -> str:
    return markdown(
        ("register", "name", "meaning"),
        (
            (r.address if r.length == 1 else f"{r.address}-{r.address + r.length - 1}", f"`{r.name}`", r.meaning)
            for r in rows
        ),
    )


def _flags() -> str:
    bits = {name: getattr(signals, name) for name in table.STATUS_FLAGS}
    rows = ((bits[name].bit_length() - 1, name, text) for name, text in table.STATUS_FLAGS.items())
    return markdown(("bit", "name", "meaning"), rows)


def _permit_status() -> str:
    rows = ((code, f"`{name}`", table.PERMIT_STATUS[name]) for code, name in signals.PERMIT_STATUS.items())
    return markdown(("status", "name", "what the PLC says of the permit"), rows)


def _messages() -> str:
    def rows(kinds: Any, sender: str) -> Iterable[tuple[str, str, str, str]]:
        for kind in get_args(kinds):
            fields = ", ".join(f"`{f.name}`" for f in msgspec.structs.fields(kind) if f.name != "v")
            yield f"`{kind.__struct_config__.tag}`", sender, fields, _sentence(kind)

    both = [*rows(messages.ToGateway, "station"), *rows(messages.ToStation, "gateway")]
    return markdown(("kind", "from", "fields beside `kind` and `v`", "meaning"), both)


def _sentence(kind: type) -> str:
    return " ".join((kind.__doc__ or "").split("\n\n", maxsplit=1)[0].split()).replace("``", "`")


def _modes() -> str:
    return markdown(("mode", "what it does"), ((f"`{m.value}`", m.text) for m in Mode))


def _alarms() -> str:
    """Return the alarms: at the gateway those that `[guard]` names, at the station those of health and challenges."""
    guard, challenge, health = GuardConfig(), ChallengeConfig(), HealthConfig().reactions()
    holds = {
        "challenge_failed": f"{challenge.on_failed}; {challenge.on_escape} after an escape or an interruption",
        "challenge_due": challenge.on_skipped,
    }

    def row(name: str) -> tuple[str, str]:
        if f"on_{name}" in GuardConfig.model_fields:
            return "gateway", f"{getattr(guard, f'on_{name}')}"
        if name in _OF_GATEWAY:
            return "gateway", "alarm, always"
        return "both" if name == "journal" else "station", health.get(name) or holds.get(name, "alarm, always")

    rows = ((f"`{a.name}`", a.text, a.remedy, *row(a.name)) for a in ALARMS.values())
    return markdown(("alarm", "what happened", "what to do", "at", "reaction by default"), rows)


def _rule() -> str:
    def default(key: str) -> str:
        field = RuleConfig.model_fields[key]
        value = list(field.default) if isinstance(field.default, tuple) else field.default
        return "required" if field.is_required() else f"`{value}`"

    return markdown(("key", "default", "meaning"), ((f"`{key}`", default(key), text) for key, text in RULE.items()))


def _dispositions() -> str:
    return markdown(("disposition", "meaning"), ((f"`{d.value}`", text) for d, text in DISPOSITIONS.items()))


def _causes() -> str:
    rows = ((f"`{c.name}`", c.outcome.value, c.text, c.remedy) for c in CAUSES.values())
    return markdown(("cause", "outcome", "what happened", "what to do where it keeps happening"), rows)


def _named(head: str, texts: dict[str, str]) -> str:
    return markdown((head, "what happened"), ((f"`{name}`", text) for name, text in texts.items()))


TABLES: dict[str, Callable[[], str]] = {
    "status": lambda: _registers(table.STATUS),
    "status-flags": _flags,
    "control": lambda: _registers(table.CONTROL),
    "permit": lambda: _registers(table.PERMIT),
    "permit-status": _permit_status,
    "commissioning": lambda: _registers(table.COMMISSIONING),
    "messages": _messages,
    "modes": _modes,
    "rule": _rule,
    "alarms": _alarms,
    "dispositions": _dispositions,
    "causes": _causes,
    "rejected": lambda: _named("cause", REJECTED),
    "voided": lambda: _named("cause", VOIDED),
}


def filled(text: str, origin: str) -> str:
    """Return ``text`` with the present table between each pair of ``<!-- table: NAME -->`` and ``<!-- end -->``.

    Raises:
        ConfigError: it names a table that there is not; ``origin`` says where.
    """

    def put(found: re.Match[str]) -> str:
        if found[2] not in TABLES:
            raise ConfigError(f"{origin}: there is no table {found[2]!r}.", f"use one of {', '.join(TABLES)}.")
        return f"{found[1]}{TABLES[found[2]]()}{found[3]}"

    return _MARK.sub(put, text)


def write(path: Path) -> bool:
    """Bring the tables of the file at ``path`` up to date.  Return whether it changed.

    Raises:
        ConfigError: it cannot be read or written, or names a table that there is not.
    """
    text = config_edit.read(path)
    new = filled(text, str(path))
    if new != text:
        config_edit.write(path, new)
    return new != text


def everything() -> str:
    """Return all tables, each under its name."""
    return "\n".join(f"## {name}\n\n{make()}" for name, make in TABLES.items())
