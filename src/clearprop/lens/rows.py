"""The rows of a tape: a `Row` for each node, a `Visit` for each time a backward pass came by, an `Edge` for each input.

A recording keeps only references to arrays that exist anyway. Whatever takes work, such as formulas, names and local
derivatives, is computed when it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from clearprop.autodiff.backward import accumulate
from clearprop.autodiff.batching import Batched
from clearprop.graph import RELEASED, Node
from clearprop.lens import formulas
from clearprop.lens.figures import figure
from clearprop.lens.jacobians import MOST_NUMBERS, jacobian
from clearprop.lens.names import assigned_name
from clearprop.lens.patterns import FAN_OUT, pattern
from clearprop.primitive import Primitive, Spec
from clearprop.primitives.contraction import Matmul
from clearprop.primitives.families import Elementwise
from clearprop.source import Position, describe
from clearprop.tensor import Tensor

_CONTRACTIONS = (Matmul,)
_MOST_NAMED = 6
"""Inputs; of more in a formula the first and the last are named."""


class Operand(NamedTuple):
    """One input of a node.

    Attributes:
        name: what the primitive calls it, e.g. ``"x"``.
        row: the row it comes from; None for a constant.
        value: what went in; None if the recording began after the node was made.
        names: names of constants, by the identity of their arrays.
    """

    name: str
    row: Row | None
    value: Any
    names: Mapping[int, str]

    @property
    def label(self) -> str:
        """The name of the row it comes from; of a constant its name, or its value if it is a number."""
        if self.row is not None:
            return self.row.label
        if id(self.value) in self.names:
            return self.names[id(self.value)]
        return figure(self.value) if np.ndim(self.value) == 0 and self.value is not None else "constant"


class Cut(NamedTuple):
    """A use of a node's value through which no gradient comes back.

    Attributes:
        node: whose value was used.
        how: ``"detach"``; ``"no_grad"``; ``"numpy"``, for a value that became a NumPy array; or the name of a primitive
            that is not differentiable, such as ``"stop_gradient"`` or ``"floor"``.
        position: where in the user's program.
    """

    node: Node
    how: str
    position: Position | None

    @property
    def where(self) -> str:
        """The user's source line, in words."""
        return describe(self.position)


class Row:
    """One node of a recorded run: a primitive applied, or a leaf.

    Attributes:
        node: the node of the graph.
        value: its output; a list for a node with several, None if the recording began after it was made.
        index: counts the rows of a tape from 1, in the order in which it saw them.
        visits: what happened here in backward passes, in order; one for each pass that came by.
        users: the edges over which contributions arrived.
    """

    def __init__(self, node: Node, index: int) -> None:
        self.node = node
        self.index = index
        self.value: Any = None
        self.operands: tuple[Operand, ...] = ()
        self.kept: Any = node.residuals
        self.given_name = ""
        self.ends_expression = True
        self.visits: list[Visit] = []
        self.users: list[Edge] = []

    # What it is ---------------------------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """The number of the node; rises from inputs to outputs."""
        return self.node.number

    @property
    def name(self) -> str:
        """The parameter's or variable's name, where it can be told; else empty."""
        if self.given_name:
            return self.given_name
        return self._assigned_name if self.ends_expression else ""

    @cached_property
    def _assigned_name(self) -> str:
        return assigned_name(self.node.position)

    @property
    def label(self) -> str:
        """The name; of a node without one its index on the tape, e.g. ``"#12"``."""
        return self.name or f"#{self.index}"

    @property
    def primitive(self) -> str:
        """The name of the primitive; "leaf" for a leaf."""
        return "leaf" if self.node.primitive is None else self.node.primitive.name

    @property
    def is_leaf(self) -> bool:
        """Whether it has no inputs: a parameter, or a tensor that requires a gradient."""
        return self.node.is_leaf

    @property
    def attributes(self) -> dict[str, Any]:
        """What else the operation was told, e.g. ``{"axes": (0,)}``."""
        return self.node.attributes

    @property
    def inputs(self) -> tuple[Operand, ...]:
        """The inputs in the primitive's order."""
        return self.operands

    @property
    def where(self) -> str:
        """The user's source line, in words."""
        return self.node.where

    @property
    def module(self) -> str:
        """The path of the module that was running, e.g. ``"encoder.fc1"``."""
        return self.node.module

    @property
    def residual_bytes(self) -> int:
        """Bytes that the node kept for the backward pass."""
        return 0 if self.kept is RELEASED else sum(map(_nbytes, self.kept.values()))

    @property
    def flops(self) -> int:
        """Floating-point operations of the forward computation."""
        primitive = self.node.primitive
        if primitive is None or any(operand.value is None for operand in self.operands):
            return 0
        specs = [Spec(np.shape(operand.value), np.asarray(operand.value).dtype) for operand in self.operands]
        return primitive.flops(Spec(self.node.shape, self.node.dtype), *specs, **self.attributes)

    # The forward formula ------------------------------------------------------------------------------------------

    @property
    def latex(self) -> str:
        """The forward formula of the primitive, in LaTeX with the primitive's own letters; empty for a leaf."""
        return "" if self.node.primitive is None else self.node.primitive.formula.forward

    @property
    def formula(self) -> str:
        """The right side of the forward formula in plain text, with the names of the inputs: ``"q · z"``."""
        if self.is_leaf or not self.operands:
            return ""
        labels = {operand.name: operand.label for operand in self.operands}
        if not labels.keys() & {"x", "y", "c"}:
            names = list(labels.values())
            if len(names) > _MOST_NAMED:
                names = [*names[:2], "…", names[-1]]
            return f"{self.attributes.get('function', self.primitive)}({', '.join(names)})"
        return formulas.fill(formulas.right_side(self.latex), labels)

    @property
    def numbers(self) -> str:
        """The same with the numbers filled in: ``"3 · (-4)"``; empty unless all inputs are numbers."""
        if not self.operands or any(operand.value is None or np.ndim(operand.value) for operand in self.operands):
            return ""
        return formulas.fill(
            formulas.right_side(self.latex), {operand.name: figure(operand.value) for operand in self.operands}
        )

    # The backward pass --------------------------------------------------------------------------------------------

    @property
    def gradient(self) -> Any:
        """The gradient that arrived, summed over all contributions of all recorded passes; None if none did."""
        arrived = [visit.upstream for visit in self.visits] or [edge.contribution for edge in self.users]
        if not arrived:
            return None
        total = arrived[0]
        for more in arrived[1:]:
            total = accumulate(total, more)
        return as_data(total)

    @property
    def edges(self) -> list[Edge]:
        """The edges to its inputs, of all visits."""
        return [edge for visit in self.visits for edge in visit.edges]

    @property
    def pattern(self) -> str:
        """The pattern of gradient flow, in the lecture notes' words: ``"multiplication switches"``; else empty."""
        return pattern(self.primitive)

    def __repr__(self) -> str:
        formula = f" = {self.formula}" if self.formula else ""
        return f"<Row {self.label}{formula} = {figure(self.value)}>"


class Visit:
    """A backward pass at one node.

    Attributes:
        row: the node.
        upstream: the complete upstream gradient: the sum of the contributions of all users. For a node with several
            outputs a dict, by output.
        contributions_in: the edges over which it arrived, in the order in which they did, as far as they are recorded.
        begins: whether a backward pass begins here.
        root: the node at which the pass began.
        edges: what it handed on, one edge for each input that receives a gradient.
    """

    def __init__(self, row: Row, upstream: Any, residuals: Any) -> None:
        self.row = row
        self.upstream = upstream
        self.residuals = residuals
        self.contributions_in: list[Edge] = []
        self.begins = False
        self.root = row
        self.edges: list[Edge] = []

    @property
    def pattern(self) -> str:
        """`FAN_OUT` if several contributions were added up here, else empty."""
        return FAN_OUT if len(self.contributions_in) > 1 else ""

    @cached_property
    def local_derivatives(self) -> list[Any]:
        """By input, the local derivative of an elementwise primitive: what its rules make of ones; else None."""
        node, primitive = self.row.node, self.row.node.primitive
        if not isinstance(primitive, Elementwise) or self.residuals is RELEASED:
            return [None] * len(node.parents)
        with np.errstate(all="ignore"):
            ones = np.ones(node.shape, node.dtype)
            return [as_data(one) for one in primitive.vjp(node, ones, self.residuals, node.parents)]


class Edge:
    """What one node handed to one of its inputs in a backward pass.

    Attributes:
        visit: the visit it is part of.
        index: which input.
        input: the row of that input.
        contribution: the upstream gradient times the local derivative.
    """

    def __init__(self, visit: Visit, index: int, row: Row, contribution: Any) -> None:
        self.visit = visit
        self.index = index
        self.input = row
        self.contribution = contribution

    @property
    def row(self) -> Row:
        """The row of the node that handed it on."""
        return self.visit.row

    @property
    def upstream(self) -> Any:
        """The upstream gradient of that node."""
        return self.visit.upstream

    @property
    def local_derivative(self) -> Any:
        """d(output)/d(input) as an array, element by element; None unless the primitive is elementwise."""
        return self.visit.local_derivatives[self.index]

    def jacobian(self, most: int = MOST_NUMBERS) -> Any:
        """d(output)/d(input) in full: an array of shape ``(*output, *input)``, in numerator layout.

        Args:
            most: so many numbers may it have.

        Raises:
            UsageError: if it has more, the node has several outputs, or what it kept is not on the tape.

        >>> import clearprop as cp
        >>> x, w = cp.tensor([[1.0, 2.0]], requires_grad=True), cp.Parameter([[3.0], [5.0]], name="w")
        >>> with cp.record() as tape:
        ...     y = cp.tanh(x) @ w
        ...     cp.sum(y).backward()
        >>> tape["y"].edges[1].jacobian().round(2)[0, 0]       # dy/dw: y has shape (1, 1), w (2, 1)
        array([[0.76],
               [0.96]], dtype=float32)
        >>> tape["x"].users[0].jacobian().round(2)[0, :, 0]    # of tanh by x: diagonal, shape (1, 2, 1, 2)
        array([[0.42, 0.  ],
               [0.  , 0.07]], dtype=float32)
        """
        return jacobian(self, most)

    @property
    def latex(self) -> str:
        r"""The rule of this edge in LaTeX, with the primitive's own letters: ``\bar x = \bar z \odot y``."""
        primitive = self.row.node.primitive
        assert primitive is not None
        rules = primitive.formula.backward
        i = self.index - _constants_in_front(primitive)
        return rules[i] if 0 <= i < len(rules) else rules[-1]

    @property
    def formula(self) -> str:
        """The local derivative in words: ``"z"``; of a matrix product the operand, ``"Wᵀ"``; else empty."""
        primitive = self.row.node.primitive
        if not isinstance(primitive, (Elementwise, *_CONTRACTIONS)):
            return ""
        return formulas.fill(formulas.local_derivative(self.latex), self.labels)

    @property
    def labels(self) -> dict[str, str]:
        """What the letters of the rule stand for: the inputs by the primitive's names for them, and the output, z."""
        return {operand.name: operand.label for operand in self.row.operands} | {"z": self.row.label}

    @property
    def is_repeated(self) -> bool:
        """Whether the node uses this input more than once, as ``x * x`` does."""
        return sum(operand.row is self.input for operand in self.row.operands) > 1

    def __repr__(self) -> str:
        return f"<Edge {self.row.label} → {self.input.label}: {figure(self.contribution)}>"


def _constants_in_front(primitive: Primitive) -> int:
    """How many inputs without a rule come before the first that has one: 1 for the condition of ``where``."""
    have_rule = [hasattr(primitive, f"vjp_{name}") for name in primitive.inputs]
    return have_rule.index(True) if True in have_rule else 0


def _nbytes(kept: Any) -> int:
    if isinstance(kept, tuple):
        return sum(map(_nbytes, kept))
    return getattr(kept, "nbytes", 0)


def as_data(value: Any) -> Any:
    """A recorded value without history: an array; for several outputs a dict or a list of them."""
    if isinstance(value, dict):
        return type(value)({key: as_data(one) for key, one in value.items()})
    if isinstance(value, Batched):
        return as_data(value.value)
    if isinstance(value, Tensor):
        value = value.array
    return np.asarray(value) if isinstance(value, (np.ndarray, np.generic, int, float)) else value
