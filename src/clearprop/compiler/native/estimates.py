"""How long things take, in cycles of a processor that multiplies two vectors in each: to choose among ways, no more."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clearprop.compiler.native.gemm import Gemm
from clearprop.compiler.native.gemm_plan import count, tiles

_TURN = 6.0  # one turn of the loops over the blocks of a product
_APART = 5.0  # storing an element that has no neighbour in memory, or neighbours that compete for a place in the cache
_CUT = 4.0  # loading a vector of which some lanes are not there
_GATHERED = 1.0  # packing an element that has no neighbours
_SCATTERED = 0.5  # reading an element of a where neither rows nor the depth are neighbours
_PAGE = 4096  # bytes that elements are apart which compete for the same few lines of the first-level cache


def copy_cost(shape: Sequence[int], source: Sequence[int], target: Sequence[int], itemsize: int) -> float:
    """Of a copy from strides to strides: fast along neighbours, slower where it transposes, slowest one by one."""
    elements = math.prod(shape)
    from_one, to_one = ([axis for axis, step in enumerate(steps) if step == 1] for steps in (source, target))
    if set(from_one) & set(to_one):
        return 0.05 * itemsize * elements
    if not from_one or not to_one:
        return 2.0 * elements
    far = (source[to_one[0]], target[from_one[0]])
    is_aliased = any(abs(step) * itemsize % _PAGE == 0 for step in far)
    return (1.2 if is_aliased else 0.5) * elements


def product_cost(product: Gemm) -> float:
    """What the product's plan says, and what it leaves out."""
    plan = product.plan
    walks, cost = plan.walks, plan.cost
    items = count(walks.outer) * count(walks.inner)
    cost += _TURN * items * tiles(plan.rows) * tiles(plan.columns) * count(plan.fast_blocks)
    itemsize = 4 if plan.product.dtype == "float32" else 8
    if walks.columns.c != 1 and (walks.rows.c != 1 or walks.columns.c * itemsize % _PAGE == 0):
        cost += _APART * items * walks.rows.length * walks.columns.length * plan.passes
    cut = sum(run.last - run.first for run in plan.columns if run.size % plan.lanes)
    if not plan.is_dot:
        cost += _CUT * items * tiles(plan.rows) * cut * walks.depth.length * count(walks.blocks)
    if walks.columns.b != 1 and walks.depth.b != 1:
        cost += _GATHERED * count(walks.outer) * walks.columns.length * walks.depth.length * count(walks.blocks)
    if plan.pack_a is None and 1 not in (walks.rows.a, walks.depth.a):
        cost += _SCATTERED * items * walks.rows.length * walks.depth.length * count(walks.blocks) * tiles(plan.columns)
    return cost
