"""Every fault by name, and the rows of design.md's fail-safe matrix that cannot apply here."""

from __future__ import annotations

from edge.simulate.line import faults_plant, faults_process, faults_signal
from edge.simulate.line.director import Fault

CATALOGUE: dict[str, Fault] = {f.name: f for f in (*faults_process.FAULTS, *faults_signal.FAULTS, *faults_plant.FAULTS)}

NOT_APPLICABLE: dict[str, str] = {
    "camera unplugged": "a driver's error ends the process: station_killed; one that only falls silent: camera_silent",
    "wall clock stepped": "no code in the verdict path reads it; there is none on the virtual clock",
    "journal disk full or stalled": "the journal is a thread of its own beside this path; tested with real processes",
    "evidence disk full": "as the journal's",
    "monitor hung": "another process, which only listens; nothing in this path waits for it",
    "bad config": "refused before anything starts; tested with the commands",
    "corrupt model": "refused before anything starts, by the golden gate; findings come from an oracle here",
}
"""Rows of the matrix without a fault here, and why."""
