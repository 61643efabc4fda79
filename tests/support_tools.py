"""Programs of the system that some tests need: without one a test is skipped and says so, and in CI it fails."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def need(program: str, package: str) -> str:
    """Return where a program is.

    Args:
        program: its name.
        package: the Debian package that it is in.
    """
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    return path or lack(f"{program} is missing: apt-get install {package}")


def lack(message: str) -> NoReturn:
    """Skip the test for want of something, but fail where nothing may be missing: with CI=true in the environment."""
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
