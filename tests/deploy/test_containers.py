"""The container images' recipes: linted, and held to what docs/containers.md promises."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
DOCKERFILES = [ROOT / "Dockerfile", ROOT / "Dockerfile.jetson"]
PAGE = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")

each = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)


def hadolint(dockerfile: Path) -> subprocess.CompletedProcess[str]:
    """Lint a Dockerfile."""
    linter = Path(sys.executable).with_name("hadolint")  # of the development requirements
    return subprocess.run([linter, "--no-color", str(dockerfile)], capture_output=True, text=True, check=False)


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, continued lines joined, comments left out."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(encoding="utf-8"), flags=re.M).replace("\\\n", " ")
    return [
        (words[0], words[2]) for line in text.splitlines() if line.strip() for words in [line.strip().partition(" ")]
    ]


def last(dockerfile: Path, name: str) -> str:
    """Return the argument of the last instruction of a kind, which is the one that holds."""
    return [argument for found, argument in instructions(dockerfile) if found == name][-1]


@each
def test_the_linter_has_nothing_to_say(dockerfile: Path) -> None:
    done = hadolint(dockerfile)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("line", "worse", "rule"),
    [
        ("USER 10001:10001", "USER root", "DL3002"),
        (" --no-install-recommends", "", "DL3015"),
        ('ENTRYPOINT ["edge"]', "ENTRYPOINT edge", "DL3025"),
    ],
)
def test_the_linter_would_say_it(tmp_path: Path, line: str, worse: str, rule: str) -> None:
    text = DOCKERFILES[0].read_text(encoding="utf-8")
    assert line in text
    broken = tmp_path / "Dockerfile"
    broken.write_text(text.replace(line, worse), encoding="utf-8")
    assert rule in hadolint(broken).stdout


@each
def test_nobody_runs_as_root_and_the_process_shows_that_it_is_alive(dockerfile: Path) -> None:
    assert last(dockerfile, "USER") == "10001:10001"
    assert last(dockerfile, "HEALTHCHECK").endswith('CMD ["python", "-m", "edge.commands.doctor_alive"]')
    assert last(dockerfile, "ENTRYPOINT") == '["edge"]'
    # Only the last stage is shipped, and what is written at run time lies on a volume of its own.
    assert "/var/lib/edge" in last(dockerfile, "ENV") or "EDGE_STATE=/var/lib/edge" in dockerfile.read_text()


def allowed(path: str) -> bool:
    """Whether .dockerignore lets a path of the tree into the build's context."""
    keep = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").rstrip("/").removeprefix("**/")
        parents = [path, *map(str, Path(path).parents)]
        hits = any(fnmatch.fnmatch(p, pattern) or fnmatch.fnmatch(Path(p).name, pattern) for p in parents if p != ".")
        if line and not line.startswith("#") and hits:
            keep = line.startswith("!")
    return keep


@pytest.mark.parametrize(
    ("path", "gets_in"),
    [
        ("edge/cli.py", True),
        ("pyproject.toml", True),
        ("requirements/runtime.txt", True),
        ("requirements/jetson.txt", True),
        ("models/sim-strip/model.onnx", True),
        ("deploy/station.toml", True),
        ("systemd/edge-station@.service", True),
        (".git/config", False),
        (".venv/bin/python", False),
        ("tests/conftest.py", False),
        ("station.key", False),
        ("keys/station-1.key", False),
        ("users.toml", False),
        ("edge/__pycache__/cli.cpython-311.pyc", False),
        ("requirements/dev.txt", False),
    ],
)
def test_only_what_an_image_is_made_of_gets_into_the_build(path: str, gets_in: bool) -> None:
    assert allowed(path) is gets_in


@each
def test_what_is_copied_is_there_and_gets_in(dockerfile: Path) -> None:
    for name, argument in instructions(dockerfile):
        if name == "COPY" and not argument.startswith("--from"):
            for source in argument.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source == "." or allowed(source), source


def test_the_jetson_image_takes_opencv_from_source_and_the_rest_as_locked() -> None:
    text = (ROOT / "Dockerfile.jetson").read_text(encoding="utf-8")
    locked = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    assert len(re.findall(r"^opencv-python-headless==", locked, re.M)) == 1, "what the Dockerfile's grep looks for"
    assert "-DWITH_GSTREAMER=ON" in text
    for line in (ROOT / "requirements" / "jetson.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            assert [s.operator for s in Requirement(line).specifier] == ["=="], line


def test_the_page_names_the_bases_and_says_what_was_not_built() -> None:
    text = (ROOT / "Dockerfile.jetson").read_text(encoding="utf-8")
    bases = re.findall(r"nvcr\.io/[\w./-]+:[\w.-]+", text)
    assert len(set(bases)) == 2
    for base in (*bases, "debian:bookworm-slim"):
        assert base in PAGE
    assert "Neither Jetson image has been built" in PAGE
