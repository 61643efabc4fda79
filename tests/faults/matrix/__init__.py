"""The fault matrix: each row hurts a line of real processes in one way and says what must be seen of it.

``row.py`` says what a row is and judges it, ``rig.py`` is the line that rows are run on, ``rows_*.py`` are the rows,
``table.py`` is all of them and the page docs/faults.md.
"""
