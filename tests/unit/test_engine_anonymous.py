"""Bytes as a path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.engine.anonymous import anonymous_file


def test_the_path_leads_to_the_bytes_and_to_nothing_afterwards() -> None:
    content = bytes(range(256)) * 40_000
    with anonymous_file(content) as path:
        assert Path(path).read_bytes() == content
    assert not os.path.exists(path)


def test_the_file_goes_also_where_reading_it_fails() -> None:
    with pytest.raises(ZeroDivisionError), anonymous_file(b"x") as path:
        raise ZeroDivisionError
    assert not os.path.exists(path)
