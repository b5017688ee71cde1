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
