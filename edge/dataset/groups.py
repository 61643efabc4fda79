"""Union-find: sets joined wherever they share a member."""

from __future__ import annotations

from collections.abc import Collection, Iterable


def union(groups: Iterable[Collection[str]]) -> list[frozenset[str]]:
    """Disjoint sets of at least two members, the largest first, then by name."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for group in groups:
        members = iter(group)
        first = next(members, None)
        for other in members:
            parent[root(other)] = root(str(first))
    joined: dict[str, set[str]] = {}
    for name in list(parent):
        joined.setdefault(root(name), set()).add(name)
    return sorted((frozenset(g) for g in joined.values() if len(g) > 1), key=lambda g: (-len(g), min(g)))
