"""The layers of a record as a tree, for the picture and the table of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clearprop.train.records import Layer


@dataclass
class Block:
    """A module of the network with the modules inside it."""

    layer: Layer
    name: str
    depth: int
    children: list[Block] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many numbers it learns, with all that is inside it."""
        return self.layer.count + sum(child.count for child in self.children)


def network_tree(layers: Sequence[Layer]) -> Block | None:
    """The modules as a tree: each stands inside the module whose path its own path begins with.

    >>> tree = network_tree([Layer("", "Sequential"), Layer("0", "Linear", "(N, 2)", {"weight": (3, 2)})])
    >>> tree.count, tree.children[0].name
    (6, '0')
    """
    if not layers:
        return None
    root = Block(next((layer for layer in layers if not layer.path), Layer("", "Network")), "", 0)
    blocks = {"": root}
    for layer in layers:
        if not layer.path:
            continue
        parent, names = layer.path, ""
        while parent not in blocks:
            parent, _, name = parent.rpartition(".")
            names = f"{name}.{names}" if names else name
        block = Block(layer, names, blocks[parent].depth + 1)
        blocks[parent].children.append(block)
        blocks[layer.path] = block
    return root


def flattened(block: Block | None) -> list[Block]:
    """A block and all that is inside it, from top to bottom."""
    return [] if block is None else [block, *(inner for child in block.children for inner in flattened(child))]
