"""File capabilities of a tree: `security.capability`, by which a program gets a right without being root's."""

from __future__ import annotations

from dataclasses import replace

from sealift.core.tree import Tree

CAPABILITY = b"security.capability"


def capabilities_of(tree: Tree) -> dict[int, bytes]:
    """The attribute's value, by row."""
    values = {number: dict(pairs).get(CAPABILITY) for number, pairs in enumerate(tree.xattr_sets)}
    if not any(values.values()):
        return {}
    return {row: value for row, number in enumerate(tree.xattrs) if (value := values[number]) is not None}


def without_capabilities(tree: Tree) -> Tree:
    sets = (tuple(pair for pair in pairs if pair[0] != CAPABILITY) for pairs in tree.xattr_sets)
    return replace(tree, xattr_sets=tuple(sets))
