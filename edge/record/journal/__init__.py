"""The journal: every part, what the gateway knew of it, events and counters, on disk and queryable for years."""

from edge.record.journal.rows import Counts, Event, Fact, Row
from edge.record.journal.writer import Journal

__all__ = ["Counts", "Event", "Fact", "Journal", "Row"]
