"""The documentation says what the code does: its tables are the generated ones, and the names in it exist."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge import cli, errors
from edge.commands import signals as pages
from edge.config import RuleConfig
from edge.core.alarms import ALARMS
from edge.core.outcome import CAUSES, Disposition
from edge.core.session import Permit, Session
from edge.errors import ConfigError
from edge.gateway.plc import commissioning, signals, table
from edge.monitor import metric_table

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
MARK = re.compile(r"<!-- table: ([a-z-]+) -->")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


# -- the committed pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_committed_tables_are_the_generated_ones(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert pages.filled(text, path.name) == text, f"run: edge schema tables --write docs/{path.name}"
    assert text.count("<!-- table:") == text.count("<!-- end -->")


def test_every_table_is_shown_somewhere() -> None:
    shown = {name for path in PAGES for name in MARK.findall(path.read_text(encoding="utf-8"))}
    assert shown == pages.TABLES.keys()


def test_links_between_pages_lead_somewhere() -> None:
    for path in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
            if "//" in target:
                continue
            file, _, anchor = target.partition("#")
            linked = path.parent / file if file else path
            assert linked.exists(), f"{path.name}: {target}"
            assert not anchor or anchor in _anchors(linked), f"{path.name}: {target}"


def _anchors(path: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_exit_code_is_told_and_has_one_meaning() -> None:
    told = re.findall(
        r"Exit codes: (.+?)\n(?:[A-Z]|\n)", (DOCS.parent / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = [vars(kind)["exit_code"] for kind in kinds if "exit_code" in vars(kind)]
    assert len(codes) == len(set(codes))
    assert {str(code) for code in codes} <= set(re.findall(r"(?:^|, )(\d+) ", told[0].replace("\n", " ")))


def test_every_metric_named_exists() -> None:
    known = {metric.name for metric in metric_table.METRICS}
    for path in PAGES:
        named = set(re.findall(r"`(edge_\w+)`", path.read_text(encoding="utf-8")))
        assert named <= known, f"{path.name}: {named - known}"


def test_every_cause_in_the_fail_safe_table_exists() -> None:
    rows = page("signal.md").split("## When something breaks")[1].split("\n## ")[0].splitlines()
    cells = [row.split("|")[3] for row in rows if row.startswith("| ")][2:]
    known = {*CAUSES, *pages.REJECTED, *pages.VOIDED, *table.PERMIT_STATUS}
    known |= {f"permit_{status}" for status in table.PERMIT_STATUS}
    assert len(cells) > 30
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    assert named <= known, named - known


def test_every_command_shown_exists() -> None:
    commands = {command.name for command in cli.app.registered_commands} | {g.name for g in cli.app.registered_groups}
    for path in PAGES:
        for command in re.findall(r"`(?:\S*/)?edge ([a-z][a-z-]*)", path.read_text(encoding="utf-8")):
            assert command in commands, f"{path.name}: edge {command}"


# -- the tables are whole ----------------------------------------------------------------------------------------


def test_words_for_everything() -> None:
    assert pages.DISPOSITIONS.keys() == set(Disposition)
    assert table.PERMIT_STATUS.keys() == set(signals.PERMIT_STATUS.values())
    causes = {name for name in metric_table.REJECTED_CAUSES if not name.startswith("permit_")} | {"permit_unwritten"}
    assert pages.REJECTED.keys() == causes
    assert pages.VOIDED.keys() == set(metric_table.VOIDED_CAUSES)
    assert all(f"`{name}`" in pages.TABLES["alarms"]() for name in ALARMS)
    assert all(f"`{name}`" in pages.TABLES["causes"]() for name in CAUSES)


def test_no_two_rows_of_a_block_overlap() -> None:
    permits = range(signals.PERMIT_BASE, signals.PERMIT_BASE + signals.PERMIT_SLOTS * signals.PERMIT_LENGTH)
    used = [at for row in (*table.STATUS, *table.CONTROL, *table.COMMISSIONING) for at in _registers(row)]
    assert len({*used, *permits}) == len(used) + len(permits)
    assert sum(row.length for row in table.STATUS) == signals.STATUS_LENGTH
    assert sum(row.length for row in table.CONTROL) == signals.CONTROL_LENGTH
    assert sum(row.length for row in table.PERMIT) == signals.PERMIT_LENGTH


def _registers(row: table.Row) -> range:
    return range(row.address, row.address + row.length)


def test_every_key_of_a_rule_is_explained() -> None:
    assert pages.RULE.keys() == RuleConfig.model_fields.keys()


# -- the rows say where the driver reads and writes --------------------------------------------------------------


def _fill(rows: Iterable[table.Row], length: int, base: int) -> tuple[list[int], dict[str, int]]:
    """Return registers in which each row has a value of its own, and these values by name."""
    registers, values = [0] * length, {}
    for n, row in enumerate(rows):
        values[row.name] = (0x0101 + n) << 16 | (0x0A00 + n) if row.length == 2 else 0x0A00 + n
        for at, half in zip(
            _registers(row), (values[row.name] >> 16, values[row.name] & 0xFFFF)[-row.length :], strict=True
        ):
            registers[at - base] = half
    return registers, values


def test_the_status_rows() -> None:
    rows = [row for row in table.STATUS if row.length <= 2]
    registers, values = _fill(rows, signals.STATUS_LENGTH, signals.STATUS_BASE)
    registers[0] = signals.MAP_VERSION
    status = signals.parse_status(registers)
    read = {name: getattr(status, name) for name in values if hasattr(status, name)}
    assert read == {name: value for name, value in values.items() if name in read}
    assert values.keys() - read.keys() == {"map_version"}


def test_the_rings() -> None:
    registers = [0] * signals.STATUS_LENGTH
    registers[0], registers[9] = signals.MAP_VERSION, 12
    starts = {row.name: row.address for row in table.STATUS if row.length > 2}
    registers[starts["parts"] : starts["parts"] + 4] = [0, 12, 0, 700]
    registers[starts["echoes"] : starts["echoes"] + 4] = [5, 1, 6, 7]
    registers[starts["gated"] : starts["gated"] + 4] = [0, 11, 1, 2]
    status = signals.parse_status(registers)
    assert status.parts[-1] == (12, 700)
    assert status.echoes[:2] == ((5, 1), (6, 7))
    assert status.gated[0] == (11, signals.ACTION_GOOD, signals.CONTRADICTED)


def test_the_control_rows() -> None:
    registers, values = _fill(table.CONTROL, signals.CONTROL_LENGTH, signals.CONTROL_BASE)
    values |= {"flags": signals.READY | signals.STOP, "fail_safe": 2, "output": 1}
    control = signals.Control(
        heartbeat=values["heartbeat"],
        ready=True,
        stop=True,
        gateway_session=values["gateway_session"],
        station_session=values["station_session"],
        fence=values["fence"],
        recipe=values["recipe"],
        epoch=values["epoch"],
        fail_safe="stop_line",
        output=True,
        plc_session=values["plc_session"],
    )
    for row in table.CONTROL:
        if row.length == 1:
            registers[row.address - signals.CONTROL_BASE] = values[row.name]
    assert signals.control_words(control) == registers


def test_the_permit_rows() -> None:
    registers, values = _fill(table.PERMIT, signals.PERMIT_LENGTH, 0)
    registers[9] = signals.RESULT_PASS
    session = Session(values["plc_session"], values["gateway_session"], 0, values["epoch"], 0)
    permit = Permit(values["number"], values["count"], session)
    assert signals.permit_words(permit, values["sequence"]) == registers


def test_the_commissioning_rows() -> None:
    rows = [row for row in table.COMMISSIONING if row.address < commissioning.BASE + commissioning.STATUS_LENGTH]
    registers, values = _fill(rows, commissioning.STATUS_LENGTH, commissioning.BASE)
    registers[0], registers[1] = commissioning.BLOCK_VERSION, commissioning.DONE
    found = commissioning.parse(registers)
    assert found.piece == commissioning.Piece(
        *(values[f"piece_{name}"] for name in ("number", "front", "tail", "gate"))
    )
    assert (found.discarded, found.cycle) == (values["discarded"], values["cycle"])
    times = (found.on_ms, found.off_ms, found.resolution_ms)
    assert [round(ms * 10) for ms in times] == [values[name] for name in ("on_time", "off_time", "resolution")]


# -- the command -------------------------------------------------------------------------------------------------


def test_a_page_is_renewed_and_left_alone_when_it_is_right(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# A\n\n<!-- table: modes -->\nstale\n<!-- end -->\n\nrest\n")
    result = CliRunner().invoke(cli.app, ["schema", "tables", "--write", str(path)])
    assert "changed" in result.output
    assert path.read_text() == f"# A\n\n<!-- table: modes -->\n{pages.TABLES['modes']()}<!-- end -->\n\nrest\n"
    assert "up to date" in CliRunner().invoke(cli.app, ["schema", "tables", "--write", str(path)]).output


def test_a_table_that_there_is_not_is_named() -> None:
    with pytest.raises(ConfigError, match="'colours'"):
        pages.filled("<!-- table: colours -->\n<!-- end -->", "page")


@pytest.mark.parametrize("words", [["nonsense"], ["station", "--write", "x.md"]])
def test_bad_words_are_refused(words: list[str]) -> None:
    assert CliRunner().invoke(cli.app, ["schema", *words]).exit_code == 2


def test_all_tables_can_be_printed() -> None:
    output = CliRunner().invoke(cli.app, ["schema", "tables"]).output
    assert all(f"## {name}\n" in output for name in pages.TABLES)
