"""How good a detector is, from what it found and what is true: no engine, no files, no torch."""
