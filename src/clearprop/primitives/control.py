"""Primitives that compute nothing and steer the flow of gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearprop.errors import NotFiniteError
from clearprop.graph import Node
from clearprop.primitive import Formula, Primitive, Spec, Value, register
from clearprop.primitives.families import ANYTHING, FLOATS, Unary


class Identity(Unary):
    """z = x. Transformations put it between a function and its inputs, to ask for the gradient just there."""

    formula = Formula(r"z = x", (r"\bar x = \bar z",))
    accepts = ANYTHING
    flops_per_element = 0

    def compute(self, x: Value) -> Value:
        return x

    def vjp_x(self, g: Value) -> Value:
        return g


class StopGradient(Unary):
    """z = x, but a constant as far as gradients are concerned."""

    formula = Formula(r"z = x, \text{ taken as a constant}")
    differentiable = False
    accepts = ANYTHING
    flops_per_element = 0

    def compute(self, x: Value) -> Value:
        return x


class Finite(Unary):
    """z = x, all of it finite; an error if an element is NaN or infinite.

    Where a function is traced there are no numbers yet: this looks at them in every run.

    Attributes of the operation:
        what: the name of x, for the error.
        hint: what to try.
    """

    formula = Formula(r"z = x,\ |x| < \infty", (r"\bar x = \bar z",))
    accepts = FLOATS
    flops_per_element = 0

    def compute(self, x: Value, *, what: str, hint: str) -> Value:
        wrong = x[~np.isfinite(x)]
        if wrong.size:
            more = f" at {wrong.size} of {x.size} places" if x.size > 1 else ""
            raise NotFiniteError(what, float(wrong.flat[0]), more, hint)
        return x

    def vjp_x(self, g: Value) -> Value:
        return g


class Parts(dict[int, Value]):
    """Of a node with several outputs the upstream gradient or the tangent: by output, as far as there is one."""


class Item(Primitive):
    """z = one output of a node that has several (attribute ``index``).

    Such nodes are those of rules of the user's own, and of loops (`clearprop.autodiff`). Their upstream gradient, and
    their tangent, are `Parts`.
    """

    formula = Formula(r"z = x_{\mathit{index}}", (r"\bar x_{\mathit{index}} = \bar z",))

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        return inputs[0]

    def compute(self, x: Value, *, index: int) -> Value:
        return x[index]

    def vjp_x(self, g: Value, index: int) -> Value:
        return Parts({index: g})

    def jvp(self, node: Node, tangents: Sequence[Value | None], residuals: dict[str, Value]) -> Value | None:
        (parts,) = tangents
        return None if parts is None else parts[node.attributes["index"]]

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        return self(values[0], **attributes)


identity = register(Identity())
finite = register(Finite())
stop_gradient = register(StopGradient())
item = register(Item())
