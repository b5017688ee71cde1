"""Nested dicts, lists and tuples of tensors: what functions given to transformations take and return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def is_leaf(tree: Any) -> bool:
    """Whether this is not a container that trees are made of."""
    return not isinstance(tree, (dict, list, tuple)) and tree is not None


def flatten(tree: Any) -> list[Any]:
    """The leaves, from left to right; dicts in the order of their keys' insertion."""
    if tree is None:
        return []
    if is_leaf(tree):
        return [tree]
    children = tree.values() if isinstance(tree, dict) else tree
    return [leaf for child in children for leaf in flatten(child)]


def flatten_like(tree: Any, pattern: Any) -> list[Any] | None:
    """The leaves in the order of another tree's, dicts by their keys; None if the two are not nested alike.

    >>> flatten_like({"b": 1, "a": [2, 3]}, {"a": [0, 0], "b": 0}), flatten_like([1], 0)
    ([2, 3, 1], None)
    """
    if tree is None or pattern is None or is_leaf(tree) or is_leaf(pattern):
        alike = (tree is None) == (pattern is None) and is_leaf(tree) == is_leaf(pattern)
        return flatten(tree) if alike else None
    if isinstance(tree, dict) != isinstance(pattern, dict) or len(tree) != len(pattern):
        return None
    if isinstance(pattern, dict):
        if tree.keys() != pattern.keys():
            return None
        tree = {key: tree[key] for key in pattern}
    children = zip(
        *(branch.values() if isinstance(branch, dict) else branch for branch in (tree, pattern)), strict=True
    )
    parts = [flatten_like(child, like) for child, like in children]
    return None if None in parts else [leaf for part in parts if part for leaf in part]


def rebuild(tree: Any, leaves: Sequence[Any]) -> Any:
    """The same nesting with other leaves."""
    waiting = iter(leaves)
    return map_leaves(lambda _: next(waiting), tree)


def map_leaves(f: Callable[[Any], Any], tree: Any) -> Any:
    """The same nesting with ``f`` applied to every leaf.

    >>> map_leaves(lambda x: x + 1, {"a": 1, "b": [2, (3,)]})
    {'a': 2, 'b': [3, (4,)]}
    """
    if tree is None:
        return None
    if is_leaf(tree):
        return f(tree)
    if isinstance(tree, dict):
        return type(tree)((key, map_leaves(f, child)) for key, child in tree.items())
    children = [map_leaves(f, child) for child in tree]
    return type(tree)(*children) if hasattr(tree, "_fields") else type(tree)(children)
