from __future__ import annotations

import http.server
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.cli import app
from edge.clock import NS_PER_S, now_ns, wall_ns
from edge.commands import support_bundle, support_bundle_archive, support_bundle_sources
from edge.commands.finding import Finding
from edge.commands.support_bundle import Made, make
from edge.commands.support_bundle_redact import REMOVED, Redactor, secrets_in, secrets_of
from edge.config.line import SecurityConfig
from edge.errors import ConfigError
from edge.record.journal.rows import Event
from edge.wire.keys import generate, read_secret, write_pair
from tests.support_journal import journal, part

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$QmFzZTY0SGFzaE9mQVBhc3N3b3JkMTIz"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJvcGVyYXRvciJ9.c2lnbmF0dXJlLW9mLWl0"
PLAIN = "correct-horse-battery"
"""Known to no file, only by what stands before it."""


class _Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"edge_up 1\n# proxy http://edge:{PLAIN}@10.0.0.1/\n".encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def metrics() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _Metrics)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
    server.shutdown()
    thread.join()
    server.server_close()


def _wall_ns(back_s: int) -> int:
    return wall_ns() - back_s * NS_PER_S


class Site:
    """A station with everything that it writes, and a secret in each of these places."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.key, public = write_pair(generate(), "station-1", root / "keys")
        self.secret = read_secret(self.key).secret
        self.users = root / "users.toml"
        self.users.write_text(f'[[user]]\nname = "eva"\nhash = "{HASH}"\n')
        self.station, self.monitor, self.log = root / "station.toml", root / "monitor.toml", root / "edge.log"
        package = root / "package"
        package.mkdir()
        (package / "manifest.toml").write_text("name = 'x'\n")
        self.station.write_text(
            f'# password = "{PLAIN}"\nmodel = {{ package = "{package}", engine = "onnxruntime" }}\n'
            'recipe = { rules = [{ name = "any" }] }\n'
            f'telemetry = {{ endpoint = "ipc://{root}/telemetry" }}\ngateway = {{ endpoint = "tcp://127.0.0.1:9" }}\n'
            f'security = {{ key = "{self.key}", server_key = "{public}" }}\n'
            f'journal = {{ folder = "{root}/journal" }}\nflight = {{ folder = "{root}/flight" }}\n'
            f'control = {{ path = "{root}/c", record = "{root}/commands.jsonl" }}\n'
            f'evidence = {{ folder = "{root}/evidence" }}\n',
        )
        self.monitor.write_text(f'users = "{self.users}"\nport = 0\n')
        self.log.write_text(
            f"GET / Authorization: Basic {PLAIN}\nCookie: session={PLAIN}; other=1\n{PEM}\n"
            f"found {self.secret} in memory\n"
            f"user eva {HASH}\nBearer {JWT}\ntoken={PLAIN} and so on\nan innocent line\n"
        )
        (root / "commands.jsonl").write_text(json.dumps({"command": "recipe", "text": HASH}) + "\n")
        (root / "flight").mkdir()
        (root / "flight" / "station-20261122T060000.000000.trace.json").write_text(json.dumps({"reason": self.secret}))
        self.picture = root / "evidence" / "2026-11-22" / "06" / "1-2.jpg"
        self.picture.parent.mkdir(parents=True)
        self.picture.write_bytes(b"\xff\xd8picture")
        self.picture.with_suffix(".json").write_text(json.dumps({"part": 2, "tag": self.secret}))
        self._journal()

    def _journal(self) -> None:
        for back_s, number in ((7200, 1), (60, 2)):
            wall = partial(_wall_ns, back_s)
            with closing(journal(self.root / "journal", wall=wall)) as book:
                then = datetime.fromtimestamp(wall() / NS_PER_S, timezone.utc).isoformat()
                book.put(part(number, tag=f"tag-{number}-{self.secret}", wall=then))
                book.put(Event("command", f"said {HASH}", {"token": PLAIN}, at_ns=now_ns()))

    @property
    def secrets(self) -> list[bytes]:
        """All that must not leave, in pieces: a part of a secret is as bad."""
        pem = PEM.splitlines()[1:-1]
        return [s.encode() for s in (self.secret, HASH, HASH[40:], PLAIN, JWT, JWT[-20:], *pem)]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("EDGE_STATE", str(tmp_path / "state"))
    said = [Finding("log", "warn", f"says {HASH}", "mend it")]  # `edge doctor` has tests of its own, and takes seconds
    monkeypatch.setattr("edge.commands.doctor.examine", lambda _, spare: said if spare else [])
    (tmp_path / "site").mkdir()
    return Site(tmp_path / "site")


def members(path: Path) -> dict[str, bytes]:
    """Return what is in a bundle, by name without its folder."""
    with tarfile.open(path, "r:gz") as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            assert member.mode == 0o600
            found[member.name.partition("/")[2]] = file.read()
        return found


def made(site: Site, out: Path, metrics: str, **options: bool) -> Made:
    return make([site.station, site.monitor], out, logs=[site.log], metrics=metrics, **options)


def test_no_planted_secret_leaves_and_everything_else_does(site: Site, tmp_path: Path, metrics: str) -> None:
    out = tmp_path / "bundle.tar.gz"
    made(site, out, metrics)
    found = members(out)
    for name, data in found.items():
        for secret in site.secrets:
            assert secret not in data, f"{secret!r} in {name}"
    assert b"an innocent line" in found["logs/edge.log"]
    assert b'key = "' + str(site.key).encode() in found["config/1-station.toml"]
    assert found["model/package/manifest.toml"] == b"name = 'x'\n"
    assert found["metrics.txt"].startswith(b"edge_up 1")
    assert b'"part": 2' in found["evidence/2026-11-22/06/1-2.json"]
    assert b"MemTotal" in found["system/meminfo"]
    assert {"versions.json", "doctor.txt", "doctor.json", "commands/1-station.jsonl"} <= found.keys()
    assert "flight/station-20261122T060000.000000.trace.json" in found
    assert not {name for name in found if name.endswith(("users.toml", ".key"))}
    assert out.stat().st_mode & 0o777 == 0o600


def test_only_the_time_asked_for_is_in_the_journal(site: Site, tmp_path: Path, metrics: str) -> None:
    made(site, tmp_path / "hour.tar.gz", metrics)
    make([site.station], tmp_path / "day.tar.gz", hours=24, metrics=metrics)
    numbers = [
        [json.loads(row)["number"] for row in members(tmp_path / name)["journal/1-station-parts.jsonl"].splitlines()]
        for name in ("hour.tar.gz", "day.tar.gz")
    ]
    assert numbers == [[2], [1, 2]]


def test_pictures_are_there_only_if_asked_for(site: Site, tmp_path: Path, metrics: str) -> None:
    plain = made(site, tmp_path / "a.tar.gz", metrics)
    asked = made(site, tmp_path / "b.tar.gz", metrics, images=True)
    name = "evidence/2026-11-22/06/1-2.jpg"
    assert name not in members(plain.path)
    assert "pictures" in {left["name"] for left in plain.manifest["left_out"]}
    assert members(asked.path)[name] == site.picture.read_bytes()


def test_the_manifest_tells_what_is_there_and_what_was_removed(site: Site, tmp_path: Path, metrics: str) -> None:
    bundle = made(site, tmp_path / "bundle.tar.gz", metrics)
    found = members(bundle.path)
    manifest = json.loads(found.pop("MANIFEST.json"))
    assert manifest["files"].keys() == found.keys()
    assert {name: len(data) for name, data in found.items()} == {n: f["bytes"] for n, f in manifest["files"].items()}
    assert manifest["files"]["logs/edge.log"]["secrets_removed"] >= 6


def test_the_finished_archive_is_searched_once_more(
    site: Site, tmp_path: Path, metrics: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Redactor, "clean", lambda _, data: data)
    with pytest.raises(ConfigError, match="would have held a secret"):
        made(site, tmp_path / "bundle.tar.gz", metrics)
    assert not (tmp_path / "bundle.tar.gz").exists()


def test_what_is_broken_is_told_and_the_rest_is_there(site: Site, tmp_path: Path) -> None:
    (site.root / "journal" / "2026-11-23.sqlite").unlink(missing_ok=True)
    broken = tmp_path / "broken.toml"
    broken.write_text(f"nonsense = [\ntoken = '{PLAIN}'\n")
    bundle = make(
        [broken, site.station], tmp_path / "b.tar.gz", logs=[tmp_path / "no.log"], metrics="http://127.0.0.1:9/"
    )
    told = {left["name"] for left in bundle.manifest["left_out"]}
    assert {"1-broken.toml", "logs/no.log", "metrics.txt"} <= told
    found = members(bundle.path)
    assert PLAIN.encode() not in found["config/1-broken.toml"]
    assert "versions.json" in found


def test_a_source_that_fails_is_told_with_its_error(
    site: Site, tmp_path: Path, metrics: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explodes(*_: object) -> None:
        raise RuntimeError(f"password: {PLAIN}")

    monkeypatch.setattr(support_bundle, "SOURCES", (explodes, *support_bundle.SOURCES))
    bundle = made(site, tmp_path / "b.tar.gz", metrics)
    told = next(left["why"] for left in bundle.manifest["left_out"] if left["name"] == "explodes")
    assert told == f"RuntimeError: password: {REMOVED.decode()}"
    assert "versions.json" in members(bundle.path)


def test_of_a_long_file_its_end_is_there_and_no_half_of_a_secret(
    tmp_path: Path, metrics: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support_bundle_archive, "MOST_BYTES", 60)
    monkeypatch.setattr(support_bundle, "SOURCES", (support_bundle_sources.logs,))
    log = tmp_path / "long.log"
    log.write_text("password = " + PLAIN * 3 + "\n" + "the end of it " * 2 + "\n")
    found = members(make([], tmp_path / "b.tar.gz", logs=[log], metrics=metrics).path)["logs/long.log"]
    assert found == b"the end of it the end of it \n"


@pytest.mark.parametrize("taken", ["b.tar.gz", "no/folder/b.tar.gz"])
def test_nothing_is_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / "b.tar.gz").write_text("mine")
    with pytest.raises(ConfigError, match="choose another --out"):
        make([], tmp_path / taken, metrics="http://127.0.0.1:9/")
    assert (tmp_path / "b.tar.gz").read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_archive_that_was_not_searched_to_its_end_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def ended(*_: object) -> bool:
        raise error

    monkeypatch.setattr(support_bundle, "SOURCES", ())
    monkeypatch.setattr(Redactor, "found_in", ended)
    with pytest.raises(error):
        make([], tmp_path / "b.tar.gz")
    assert not list(tmp_path.iterdir())


def test_only_http_is_asked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no http address"):
        make([], tmp_path / "b.tar.gz", metrics="file:///etc/shadow")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (b'password = "a b c"\nnext', b'password = "(removed)"\nnext'),
        (b'{"api_key": "x\\"y", "tokens": 1}', b'{"api_key": "(removed)", "tokens": 1}'),
        (b"db_password: hunter2, port: 5", b"db_password: (removed), port: 5"),
        (b"https://u:p@h/x https://h/x", b"https://(removed)@h/x https://h/x"),
        (b'{"cookie": "a=1; b", "n": 1}', b'{"cookie": "(removed)", "n": 1}'),
        (b"Authorization: Basic YWJj", b"Authorization: (removed)"),
        (b"Set-Cookie: a=1; Secure\r\nHost: x", b"Set-Cookie: (removed)\r\nHost: x"),
        (b"key = '/etc/edge/station.key'", b"key = '/etc/edge/station.key'"),
        (b"Y2Fu\n-----END PRIVATE KEY-----\nrest", b"(removed)\nrest"),
        (b"-----BEGIN EC PRIVATE KEY-----\nY2Fu", b"(removed)"),
        (b"eva:$6$salt$c2VjcmV0aGFzaA:1", b"eva:(removed)"),
        (b'hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"', b'hash = "(removed)"'),
        (b"sent Bearer abc.def-ghi= to it", b"sent (removed) to it"),
        (b"got eyJhbGciOiJIUzI1.eyJzdWIiOiJv.c2ln today", b"got (removed) today"),
        (b"token = 'a b c'", b"token = '(removed)'"),
        (b"camera --password hunter2 --port 5", b"camera --password (removed) --port 5"),
        (b'pass = "x"', b'pass = "(removed)"'),
        (b"SMTP_PASS=x", b"SMTP_PASS=(removed)"),
        (b"run --db-pass x --smtp.token y --bypass z", b"run --db-pass (removed) --smtp.token (removed) --bypass z"),
        (b"bypass = 1, my.pin=1, _pin=1", b"bypass = 1, my.pin=(removed), _pin=(removed)"),
        (b"pwd=x", b"pwd=(removed)"),
        (b"PIN = 1234", b"PIN = (removed)"),
        (b"password: my secret pass\nport: 5", b"password: (removed)\nport: 5"),
        (b'password = """\nhunter2\n"""\nport = 5', b'password = """(removed)"""\nport = 5'),
        (b"rtsp://cam:p@ss@host/1", b"rtsp://(removed)@host/1"),
        (b'key = "YNp+[vU@^<*U6bDFi%-b/0#(1a<TWbO-!3oBa@y*"', b'key = "(removed)"'),
        (b"The gate rests in pass: parts may pass.", b"The gate rests in pass: parts may pass."),
        (b'{"outcome": "pass", "passed": 3}', b'{"outcome": "pass", "passed": 3}'),
        (b"costs $5$ and $2$", b"costs $5$ and $2$"),
        (b"", b""),
    ],
)
def test_secrets_are_known_by_their_look(text: bytes, clean: bytes) -> None:
    assert Redactor().clean(text) == clean


@pytest.mark.timeout(20)
@pytest.mark.parametrize("run", [b"a", b"0f", b"a.b-c_d", b"a+b/c", b"a-", b"--", b"mytoken", b"a_pass", b"a://"])
def test_a_long_run_of_characters_takes_no_more_than_its_length(run: bytes) -> None:
    line = run * (100_000 // len(run))
    assert Redactor().clean(line) == line


def test_a_secret_in_place_of_its_file_is_one(tmp_path: Path) -> None:
    secret = "YNp+[vU@^<*U6bDFi%-b1#1a<TWbO-!3oBa@y*x"
    security = SecurityConfig(key=secret, server_key=str(tmp_path / "gateway.pub"))
    assert list(secrets_of(security)) == [secret.encode()]
    for path in ("/etc/edge/keys/gone.key", "./gone", "gone.key"):
        missing = security.model_copy(update={"key": path})
        assert list(secrets_of(missing)) == [], "its path is no secret"


def test_what_is_public_or_short_in_a_secret_file_is_no_secret() -> None:
    data = b'# Secret key of x\npublic = "0123456789abcdefghij"\nsecret = "ABCDEFGHIJKLMNOPQRST"\nshort = "abc"\n'
    assert list(secrets_in(data)) == [b"ABCDEFGHIJKLMNOPQRST"]


def test_the_command_says_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support_bundle, "SOURCES", (support_bundle_sources.versions,))
    monkeypatch.setattr("os.nice", lambda _: 0)
    result = CliRunner().invoke(app, ["support-bundle", "--out", str(tmp_path / "b.tar.gz"), "--json"])
    assert result.exit_code == 0, result.output
    assert "versions.json" in json.loads(result.stdout)["files"]
