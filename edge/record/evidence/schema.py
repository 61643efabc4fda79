"""The index of an evidence folder: one row a picture, in a SQLite file beside the folders of days."""

from __future__ import annotations

INDEX = "index.sqlite"
VERSION = 1

COLUMNS = (
    "wall_ms",
    "station",
    "lane",
    "session",
    "part",
    "outcome",
    "cause",
    "rule",
    "cls",
    "score",
    "reason",
    "file",
    "bytes",
    "t0_ns",
)
"""Of table ``pictures`` beside its ``id``, in the order of ``edge.record.evidence.reader.Picture``."""

REASONS = ("reject", "no_decision", "near", "sample", "challenge")
"""Why a picture was kept."""

DROPPED = ("no_slot", "no_room", "recording", "disk_low", "quota", "unrecorded", "fault")
"""Why a picture that was wanted is not kept; docs/evidence.md tells what each means."""

TABLES = """
CREATE TABLE pictures(
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: viewers keep pictures under it
  wall_ms INTEGER NOT NULL, station TEXT NOT NULL, lane INTEGER NOT NULL,
  session INTEGER NOT NULL, part INTEGER NOT NULL, outcome TEXT NOT NULL, cause TEXT NOT NULL, rule TEXT NOT NULL,
  cls TEXT NOT NULL, score REAL, reason TEXT NOT NULL, file TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL,
  t0_ns INTEGER NOT NULL
);
CREATE INDEX by_time ON pictures(wall_ms);
CREATE INDEX by_class ON pictures(cls, wall_ms);
CREATE INDEX by_outcome ON pictures(outcome, wall_ms);
CREATE INDEX by_reason ON pictures(reason, wall_ms);
CREATE INDEX by_part ON pictures(session, part);
"""
