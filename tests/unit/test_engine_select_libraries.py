"""The engines' libraries, imported in front of the first part."""

from __future__ import annotations

import importlib
import importlib.util
import logging

import pytest

from edge.engine import select
from edge.engine.select import import_libraries


def test_every_installed_library_is_imported_and_one_that_is_broken_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def import_module(name: str) -> None:
        asked.append(name)
        if name == "onnxruntime":
            raise ImportError("libgomp.so.1 is missing")

    monkeypatch.setattr(importlib, "import_module", import_module)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name != "absent" else None)
    monkeypatch.setattr(select, "PREFERENCE", (("onnxruntime", "fp32"), ("openvino", "fp32"), ("absent", "fp32")))
    with caplog.at_level(logging.WARNING):
        import_libraries()
    assert asked == ["onnxruntime", "openvino"]
    assert "libgomp.so.1" in caplog.text
