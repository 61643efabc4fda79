"""What stands a while after it was last found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.core.lasting import Lasting


def test_it_ends_after_so_many_looks_without_it() -> None:
    lasting = Lasting(3)
    assert lasting.take({}) == {}
    assert lasting.take({"dark": "5"}) == {"dark": "5"}
    assert lasting.take({"dark": "6"}) == {"dark": "6"}
    assert lasting.take({}) == {"dark": "6"}
    assert lasting.take({"hot": "90"}) == {"dark": "6", "hot": "90"}
    assert lasting.take({}) == {"hot": "90"}
    assert lasting.take({"dark": "7"}) == {"dark": "7", "hot": "90"}


@given(st.lists(st.sets(st.sampled_from("abc")), max_size=40), st.integers(1, 8))
def test_it_stands_exactly_while_it_was_found_lately(found: list[set[str]], looks: int) -> None:
    lasting = Lasting(looks)
    for n, names in enumerate(found):
        standing = lasting.take({name: f"{name} {n}" for name in names})
        assert set(standing) == set().union(*found[max(0, n - looks + 1) : n + 1])
        assert all(
            int(text.split()[1]) == max(i for i in range(n + 1) if name in found[i]) for name, text in standing.items()
        )
