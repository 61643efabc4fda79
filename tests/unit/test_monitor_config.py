"""`monitor.toml`, and where a monitor reads."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import pytest

from edge.config import MonitorConfig, load, monitor
from edge.errors import ConfigError
from edge.monitor.sources import resolve
from edge.monitor.web.shifts import ShiftTotals

EXAMPLE = Path(__file__).parents[2] / "deploy" / "monitor.toml"
RULE = '[[recipe.rules]]\nname = "any"\n'


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_the_example_holds_the_defaults_and_names_every_key() -> None:
    assert load(EXAMPLE, MonitorConfig) == MonitorConfig()
    text = EXAMPLE.read_text()
    keys = [*MonitorConfig.model_fields, *type(MonitorConfig().sources).model_fields]
    missing = [key for key in keys if f"{key} = " not in text and f"[{key}]" not in text]
    assert not missing


def test_by_default_only_this_host_reaches_it() -> None:
    assert MonitorConfig().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('shifts = ["6:00"]', "no time of day"),
        ('shifts = ["24:00"]', "no time of day"),
        ("shifts = []", "at least 1 item"),
        ('shifts = ["14:00", "06:00"]', "in order"),
        ('shifts = ["06:00", "06:00"]', "in order"),
        ('time_zone = "Mars/Olympus"', "is not known here"),
        ('time_zone = "../../etc/passwd"', "is not known here"),
        ('certificate = "c.pem"', "belong together"),
        ('login = "everything"', "needs users"),
        ('login = "nobody"', "login"),
        ("port = 65536", "port"),
        ("unknown = 1", "unknown key"),
        ('[sources]\nlive = "http://x"', "sources.live"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = Path(write(tmp_path / "monitor.toml", text))
    with pytest.raises(ConfigError, match=problem):
        load(path, MonitorConfig)


def test_the_time_zone_is_the_one_named_or_this_machines() -> None:
    summer = datetime(2026, 7, 1, tzinfo=timezone.utc)
    assert summer.astimezone(MonitorConfig(time_zone="Europe/Berlin").zone()).hour == 2
    here = summer.astimezone(MonitorConfig().zone())
    assert here.utcoffset() == summer.astimezone().utcoffset()


def test_this_machines_time_zone_has_its_name_or_none_and_never_an_abbreviation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    london = Path(TZPATH[0]) / "Europe" / "London"
    here = tmp_path / "localtime"
    monkeypatch.setattr(monitor, "_LOCAL_TIME", here)
    here.symlink_to(london)
    assert getattr(MonitorConfig().zone(), "key", "") == "Europe/London"
    here.unlink()
    here.write_bytes(london.read_bytes())  # as some containers have it
    totals = ShiftTotals(MonitorConfig().zone(), ("06:00",))
    assert totals.zone_key() == ""
    assert totals.zone_name() in ("GMT", "BST"), "to be read, and not to be reckoned with"
    assert ShiftTotals(ZoneInfo("Europe/London"), ("06:00",)).zone_key() == "Europe/London"


def test_a_gate_that_rests_in_pass_is_known_from_the_gateways_file(tmp_path: Path) -> None:
    text = """accept_escapes = true
[plc]
signal = "pulse"
[pulse]
link_p999_ms = 5.0
output_watchdog_ms = 100.0
[actuator]
deenergised_state = "pass"
"""
    assert resolve(MonitorConfig(gateway=write(tmp_path / "gateway.toml", text))).rests_in_pass


def test_what_station_and_gateway_say_is_taken_from_their_files(tmp_path: Path) -> None:
    station = write(
        tmp_path / "station.toml",
        f"""{RULE}
[telemetry]
endpoint = "ipc:///run/s"
[journal]
folder = "/var/s"
[evidence]
folder = "/var/e"
live = "ipc:///run/live"
""",
    )
    gateway = write(
        tmp_path / "gateway.toml",
        '[telemetry]\nendpoint = "ipc:///run/g"\n[journal]\nfolder = "/var/g"\n',
    )
    found = resolve(MonitorConfig(station=station, gateway=gateway))
    assert (found.station, found.gateway, found.live) == ("ipc:///run/s", "ipc:///run/g", "ipc:///run/live")
    assert found.journals == (Path("/var/s"), Path("/var/g"))
    assert found.evidence == Path("/var/e")
    assert found.gateway_expected
    assert not found.rests_in_pass


def test_what_the_monitor_says_itself_comes_first(tmp_path: Path) -> None:
    station = write(tmp_path / "station.toml", f'{RULE}\n[journal]\nfolder = "/var/s"\n')
    own = {"station_telemetry": "ipc:///run/x", "station_journal": "/var/x", "gateway_telemetry": "ipc:///run/y"}
    found = resolve(MonitorConfig.model_validate({"station": station, "sources": own}))
    assert (found.station, found.gateway, found.journals) == ("ipc:///run/x", "ipc:///run/y", (Path("/var/x"),))
    assert found.gateway_expected


def test_without_files_the_defaults_of_both_count_and_no_gateway_is_expected() -> None:
    found = resolve(MonitorConfig())
    assert found.station == "ipc:///tmp/edge-station-telemetry"
    assert found.gateway == "ipc:///tmp/edge-gateway-telemetry"
    assert (found.gateway_expected, found.journals, found.evidence, found.control) == (False, (), None, None)
