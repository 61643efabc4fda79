#!/usr/bin/env python3
"""Check an air-gapped bundle and install it, without network.  Runs on the target's own Python, with nothing else.

    python3 install.py verify
    sudo python3 install.py install
    sudo python3 install.py rollback

Each release has a folder of its own, /opt/edge-releases/VERSION-DIGEST, and /opt/edge is a link to the one in force: it
changes at once, and back as quickly.  Running processes stay what they are until they are started again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PREFIX = Path("/opt/edge")
SUMS = "SHA256SUMS"
KEPT = ("models", "config", "bundle.json", "sbom.cdx.json", "requirements.txt")
"""What a release keeps beside its environment."""
COMPLETE = ".complete"
"""In the folder of a release that was finished.  No other is put in force, whatever ended its installation."""


class Refused(Exception):
    """Why nothing was done, and what to do."""


def verify(folder: Path) -> int:
    """Compare every file with its checksum; return their number.

    Raises:
        Refused: one is changed, missing, not listed, or a link, whose target could change behind its checksum.
    """
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Refused(f"{folder / SUMS} cannot be read ({error.strerror}): unpack the archive again.") from None
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir() or p.is_symlink()} - {SUMS}
    wrong = [f"{name} is missing" for name in sorted(listed.keys() - there)]
    wrong += [f"{name} is not listed" for name in sorted(there - listed.keys())]
    for name in sorted(listed.keys() & there):
        if (folder / name).is_symlink():
            wrong.append(f"{name} is a link")
        elif _sha256(folder / name) != listed[name]:
            wrong.append(f"{name} is changed")
    if wrong or not listed:
        raise Refused(f"{folder} is not as it was made ({'; '.join(wrong[:5]) or 'nothing is listed'}): copy it again.")
    return len(listed)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def fits(about: dict[str, Any]) -> None:
    """Raise ``Refused`` where this machine or this Python is another than the bundle was made for."""
    here = "{}.{}".format(*sys.version_info[:2])
    if platform.machine() != about["machine"]:
        raise Refused(f"this is {platform.machine()}, and the bundle is for {about['machine']}: make one for it.")
    if here != about["python"]:
        raise Refused(f"this is Python {here}, and the bundle is for {about['python']}: run python{about['python']}.")
    library, version = platform.libc_ver()
    if library == "glibc" and _numbers(version) < _numbers(about["glibc"]):
        raise Refused(f"this system's C library is {version}, and {about['glibc']} is needed: use a newer system.")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))


def install(folder: Path, prefix: Path) -> Path:
    """Verify, install into a folder of its own, try it, and put it in force; return that folder.

    Raises:
        Refused: it does not fit here, or something stands in its way; what was in force stays so.
    """
    verify(folder)
    about = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    fits(about)
    if prefix.exists() and not prefix.is_symlink():
        raise Refused(f"{prefix} is no link to a release: move it away, or give another --prefix.")
    release = _releases(prefix) / f"{about['version']}-{_sha256(folder / SUMS)[:12]}"
    if not (release / COMPLETE).exists():
        try:
            if release.exists():  # somebody, or a power cut, ended its installation
                shutil.rmtree(release)
            _fill(release, folder, prefix, about)
        except (OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(release, ignore_errors=True)
            raise Refused(f"{release} could not be made ({error}): see above; nothing is changed.") from None
        except BaseException:
            shutil.rmtree(release, ignore_errors=True)
            raise
    _put_in_force(release, prefix)
    return release


def _fill(release: Path, folder: Path, prefix: Path, about: dict[str, Any]) -> None:
    """Make the environment from the bundle's own files alone; what was left out of them is the system's."""
    release.parent.mkdir(parents=True, exist_ok=True)
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    quiet["PIP_CONFIG_FILE"] = os.devnull
    shared = ["--system-site-packages"] if about.get("left_out") else []
    subprocess.run([sys.executable, "-m", "venv", *shared, str(release)], env=quiet, check=True)
    pip = [str(release / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "install"]
    wheels = ["--no-index", "--find-links", str(folder / "wheels"), "--only-binary", ":all:", "--require-hashes"]
    locked = ["--quiet", "--requirement", str(folder / "requirements.txt")]
    subprocess.run([*pip, *wheels, *locked], env=quiet, check=True)
    for name in KEPT:
        source = folder / name
        if source.is_dir():
            shutil.copytree(source, release / name)
        elif source.exists():
            shutil.copy2(source, release)
        _open(release / name)
    _lead_to(prefix, release)
    subprocess.run([str(release / "bin" / "python"), "-I", "-m", "edge", "--version"], env=quiet, check=True)
    os.sync()  # all of it is on the disk before it is said to be
    (release / COMPLETE).touch()
    os.sync()


def _open(path: Path) -> None:
    """Let everybody read what was copied: `tar` may have unpacked it for root alone, and services are not root."""
    for item in (path, *path.rglob("*")):
        if item.exists():
            item.chmod(0o755 if item.is_dir() else 0o644)


def _lead_to(prefix: Path, release: Path) -> None:
    """Let the commands start through the link: units name it, and it must hold after a rollback too."""
    own, meant = f"#!{release}/bin/".encode(), f"#!{prefix}/bin/".encode()
    for script in (release / "bin").iterdir():
        if script.is_file() and not script.is_symlink():
            data = script.read_bytes()
            if data.startswith(own):
                script.write_bytes(meant + data[len(own) :])


def _releases(prefix: Path) -> Path:
    return prefix.parent / f"{prefix.name}-releases"


def _put_in_force(release: Path, prefix: Path) -> None:
    if prefix.is_symlink() and prefix.resolve() != release.resolve():
        _link(_releases(prefix) / "previous", prefix.resolve())
    _link(prefix, release)


def _link(link: Path, target: Path) -> None:
    """Point a link somewhere else, at once: whoever looks finds the old one or the new one."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def rollback(prefix: Path) -> Path:
    """Put the release of before in force, and remember the present one; return it.

    Raises:
        Refused: there is none.
    """
    previous = _releases(prefix) / "previous"
    if not previous.exists():
        raise Refused(f"{previous} leads to no release: there is nothing to go back to.")
    release = previous.resolve()
    _put_in_force(release, prefix)
    return release


def main() -> int:
    """Read the command and carry it out; return 1 where it was refused."""
    parser = argparse.ArgumentParser(description="Check an air-gapped bundle and install it, without network.")
    parser.add_argument("command", choices=("verify", "install", "rollback"))
    parser.add_argument("--prefix", type=Path, default=PREFIX, help="link to the release in force; /opt/edge")
    given = parser.parse_args()
    prefix = given.prefix.absolute()
    os.umask(0o022)  # the services' users must get in, however root is set up
    try:
        if given.command == "verify":
            print(f"{HERE}: {verify(HERE)} files are as they were made.")
            return 0
        release = install(HERE, prefix) if given.command == "install" else rollback(prefix)
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{prefix} is now {release}.")
    print(f"Next: {prefix}/bin/edge doctor FILE...; {prefix}/bin/edge install; then start the units again.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
