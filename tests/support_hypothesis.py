"""How many examples property tests draw: fewer where each of a thousand mutants must meet them."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SHARE = float(os.environ.get("EDGE_EXAMPLES", "1"))
"""Of the usual number of examples.  Below 1 the examples are always the same ones, so that a score can be repeated."""


def usual(max_examples: int = 100, steps: int = 50) -> settings:
    """Return the settings of a property test that draws ``max_examples``, of ``steps`` where it is a state machine."""
    return settings(
        max_examples=max(5, round(SHARE * max_examples)),
        stateful_step_count=steps,
        deadline=None,
        derandomize=SHARE < 1,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
