"""What a primitive is: one operation together with its row of rules.

A primitive is a class with short, named rules. Take multiplication:

    class Multiply(Binary):
        def compute(self, x, y): return np.multiply(x, y)  # the value, with NumPy
        def vjp_x(self, g, y): return multiply(g, y)       # contribution to x: upstream gradient times local derivative
        def vjp_y(self, g, x): return multiply(g, x)       # contribution to y

A rule asks for what it needs by name: the inputs under the names that `compute` gives them, the output as ``z``, the
shape and dtype of its own input as ``x_shape`` and ``x_dtype``, and the attributes of the operation. From these names
follows what a node must keep for the backward pass (its residuals), and no more is kept: where ``x`` is data that needs
no gradient, the rule of ``x`` never runs and ``y`` is not kept for it.

Rules are written in primitives. Applied to plain arrays, a primitive returns a plain array and records nothing; applied
to tensors it records. So the same rule serves the ordinary backward pass and gradients of gradients.

One multiplication, from end to end: ``multiply(x, y)``, where gradients flow to x and not to y,

    computes z = x * y and asks which rules will run: vjp_x alone, which wants y
    makes Node(multiply, parents=(node of x, None), residuals={"y": …}) and returns Tensor(z, node)

and when a backward pass comes to this node with the upstream gradient g,

    Multiply.vjp calls vjp_x(g, y) for the first parent, has nothing to do for the second, and returns [g * y, None]
    the pass adds g * y to what has arrived at the node of x, and drops the residuals
"""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeVar

import numpy as np

from clearprop.errors import ClearpropError, ComputationError, DTypeError, GradientError, RangeError, ShapeError
from clearprop.graph import RELEASED, Node, state
from clearprop.rule import OUTPUT, Rule
from clearprop.source import caller
from clearprop.tensor import Tensor

Value: TypeAlias = Any
"""A plain array or a Tensor. A rule does not know which, and need not."""

NOTHING: dict[str, Any] = {}
"""The residuals of every node that need keep none, the attributes of one that has none: one dict, never written to."""

_FRAMES_OF_A_CALL = 4
"""`caller`, `record`, `_apply` and `__call__` stand between the lookup and whoever applied the primitive."""


class Spec(NamedTuple):
    """Shape and dtype of a value, without the value."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of such a value."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


class Cost(NamedTuple):
    """What one application of a primitive costs."""

    flops: int
    bytes_moved: int


class Formula(NamedTuple):
    r"""A primitive in LaTeX: forward, and the contribution to each input (``\bar z`` is the upstream gradient)."""

    forward: str
    backward: tuple[str, ...] = ()


def numpy_dtype(value: Value) -> np.dtype[Any]:
    """NumPy's dtype of an array or a tensor."""
    if type(value) is Tensor:
        return value.array.dtype
    return value.dtype.dtype if isinstance(value, Tensor) else value.dtype


def spec_of(value: Value) -> Spec:
    """Shape and dtype of an array or a tensor, or of what has them too: a node, a symbol."""
    return Spec(tuple(value.shape), numpy_dtype(value))


class Primitive:
    """Base of all primitives; a subclass fills the row.

    Class attributes:
        formula: forward and backward in LaTeX.
        differentiable: False for operations whose output does not depend smoothly on any input.
        linear: True for linear operations of one input: their JVP is the primitive itself, applied to the tangent.

    Rules, of which ``compute`` defines the names of inputs (positional) and attributes (keyword-only):
        shape(*specs, **attributes) -> Spec: raises the error that a user will read.
        compute(*arrays, **attributes) -> array.
        vjp_<input>(g, …) -> contribution to that input.
        jvp_<input>(dx, …) -> what a tangent of that input adds to the output's.
        batch(values, mapped, size, **attributes) -> output, where mapped inputs have one more axis in front.
        flops(output, *specs, **attributes) -> floating-point operations.
    """

    name: ClassVar[str]
    formula: ClassVar[Formula]
    differentiable: ClassVar[bool] = True
    linear: ClassVar[bool] = False

    def __init__(self) -> None:
        cls = type(self)
        if "name" not in cls.__dict__:
            cls.name = _snake_case(cls.__name__)
        parameters = list(inspect.signature(self.compute).parameters.values())
        self.inputs = tuple(p.name for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD))
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.vjp_rules = self._rules("vjp")
        self.jvp_rules = self._rules("jvp")
        self._kept: dict[int, list[tuple[str, int]]] = {}

    def _rules(self, kind: str) -> list[Rule | None]:
        """For each input the rule of that kind, None if it has none."""
        functions = [getattr(self, f"{kind}_{name}", None) for name in self.inputs]
        return [
            None if function is None else Rule(function, name, self.inputs)
            for name, function in zip(self.inputs, functions, strict=True)
        ]

    # The row ------------------------------------------------------------------------------------------------------

    def shape(self, *inputs: Spec, **attributes: Any) -> Spec:
        """Shape and dtype of the output; raises if the inputs do not fit."""
        raise NotImplementedError

    compute: Callable[..., Any]

    def vjp(
        self, node: Node, g: Value, residuals: dict[str, Value], parents: Sequence[Node | None]
    ) -> Sequence[Value | None]:
        """Contribution to each input: the upstream gradient times the local derivative.

        Args:
            node: the application in question.
            g: upstream gradient, of the output's shape.
            residuals: what the node kept, as arrays, or as tensors if this backward pass is to be recorded.
            parents: the inputs that want a contribution; None in the place of one that does not.
        """
        contributions: list[Value | None] = [None] * len(parents)
        for i, rule in enumerate(self.vjp_rules):
            parent = parents[i]
            if parent is not None and rule is not None:
                contributions[i] = rule.apply(g, residuals, node, parent)
        return contributions

    def jvp(self, node: Node, tangents: Sequence[Value | None], residuals: dict[str, Value]) -> Value | None:
        """Tangent of the output: the sum over the inputs of the local derivative times the input's tangent."""
        total = None
        for i, (tangent, parent) in enumerate(zip(tangents, node.parents, strict=True)):
            if tangent is None or parent is None:
                continue
            rule = self.jvp_rules[i]
            # Without a rule the primitive is linear, and so its own derivative.
            part = self(tangent, **node.attributes) if rule is None else rule.apply(tangent, residuals, node, parent)
            total = part if total is None else lookup("add")(total, part)
        return total

    def batch(self, values: Sequence[Value], mapped: Sequence[bool], size: int, **attributes: Any) -> Value:
        """Apply to a whole batch at once: mapped inputs, and the output, have the batch as their first axis."""
        raise NotImplementedError

    def flops(self, output: Spec, *inputs: Spec, **attributes: Any) -> int:
        """Floating-point operations of one application; 0 for those that only move data."""
        return 0

    def cost(self, *inputs: Spec, **attributes: Any) -> Cost:
        """Floating-point operations, and bytes read and written, of one application."""
        output = self.shape(*inputs, **attributes)
        moved = sum(spec.nbytes for spec in inputs) + output.nbytes
        return Cost(self.flops(output, *inputs, **attributes), moved)

    # Applying it --------------------------------------------------------------------------------------------------

    def __call__(self, *inputs: Value, **attributes: Any) -> Value:
        """Apply to plain arrays, giving an array; or to tensors, giving a tensor that records if a gradient flows."""
        try:
            for x in inputs:
                if isinstance(x, Tensor):
                    return self._apply(inputs, attributes)
            return self.compute(*inputs, **attributes) if not _tracing else self._noted(inputs, attributes)
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            raise self._explain(error, inputs, attributes) from error

    def _apply(self, inputs: Sequence[Value], attributes: dict[str, Any]) -> Tensor:
        """Compute on the arrays inside the tensors; leave a node behind if a gradient flows to any of them."""
        arrays: list[Any] = []
        parents: list[Node | None] = []
        tracked, bit, has_numbers = 0, 1, False  # bit i of tracked: a gradient flows to input i
        if _tracing and state.tracer is not None:
            inputs = [state.tracer.lifted(x) if isinstance(x, Tensor) else x for x in inputs]
        for x in inputs:
            if type(x) is Tensor:
                arrays.append(x.array)
                parents.append(x.node)
                if x.node is not None:
                    tracked |= bit
            elif isinstance(x, Tensor):
                return _outermost(inputs).apply(self, inputs, attributes)
            else:
                arrays.append(x)
                parents.append(None)
                has_numbers = has_numbers or isinstance(x, (int, float))
            bit += bit
        if tracked:
            if self.differentiable and state.grad_enabled:
                if has_numbers:
                    _spread_numbers(arrays)
                return self.record(arrays, parents, attributes, tracked)
            if state.observer is not None:
                self._tell_of_cut(parents)
        return Tensor(self.compute(*arrays, **attributes) if not _tracing else self._noted(arrays, attributes))

    def _tell_of_cut(self, parents: Sequence[Node | None]) -> None:
        """Tell the observer of inputs to which gradients flow, and from which none will come back."""
        how = "no_grad" if self.differentiable else self.name
        for parent in parents:
            if parent is not None:
                state.observer.cut(parent, how, state.position or caller())

    def record(self, arrays: list[Any], parents: list[Node | None], attributes: dict[str, Any], tracked: int) -> Tensor:
        """Compute, and leave a node behind.

        Args:
            tracked: the inputs to which a gradient flows, bit i for input i. What is kept depends on them alone.
        """
        output = self.compute(*arrays, **attributes) if not _tracing else self._noted(arrays, attributes)
        kept = self._kept.get(tracked)
        if kept is None:
            kept = self._kept[tracked] = self._find_kept(tracked)
        residuals = {} if kept else NOTHING
        for name, i in kept:
            residuals[name] = output if i < 0 else arrays[i]
        if self.variadic and self.inputs[-1] in residuals:
            residuals[self.inputs[-1]] = tuple(arrays[len(self.inputs) - 1 :])
        position = state.position or caller(_FRAMES_OF_A_CALL)
        node = Node(self, tuple(parents), attributes, output.shape, output.dtype, residuals, position, state.module)
        if state.observer is not None:
            state.observer.forward(node, arrays, output)
        return Tensor(output, node)

    def _noted(self, arrays: Sequence[Any], attributes: dict[str, Any]) -> Any:
        """The output where somebody is tracing: a symbol if this thread is, and one of the inputs is one."""
        if state.tracer is None:
            return self.compute(*arrays, **attributes)
        return state.tracer.note(self, arrays, attributes)

    def _find_kept(self, tracked: int) -> list[tuple[str, int]]:
        """Which inputs (by position; -1 is the output) the rules of the tracked inputs need."""
        rules = [rule for i, rule in enumerate(self.vjp_rules) if rule is not None and tracked >> i & 1]
        needed = {name for rule in rules for name in rule.residuals}
        positions = {name: i for i, name in enumerate(self.inputs)} | {OUTPUT: -1}
        return [(name, i) for name, i in positions.items() if name in needed]

    def residuals(self, *inputs: str) -> tuple[str, ...]:
        """What a node keeps for the backward pass if gradients flow to these inputs (by default: to all)."""
        wanted = inputs or self.inputs
        tracked = sum(1 << i for i, name in enumerate(self.inputs) if name in wanted)
        return tuple(name for name, _ in self._find_kept(tracked))

    def _explain(self, error: Exception, inputs: Sequence[Value], attributes: dict[str, Any]) -> Exception:
        """The error that a user should read instead of NumPy's."""
        if isinstance(error, ClearpropError):
            return error
        operands = ", ".join(str(spec_of(x)) if hasattr(x, "shape") else repr(x) for x in inputs)
        weak = next((spec_of(x) for x in reversed(inputs) if hasattr(x, "shape")), None)
        kind: type[ComputationError] = DTypeError
        try:
            self.shape(
                *[spec_of(x) if hasattr(x, "shape") else weak or spec_of(np.asarray(x)) for x in inputs], **attributes
            )
        except ClearpropError as readable:
            return readable
        except Exception:  # the shape rule itself cannot cope: NumPy's message, with the operands, is the best there is
            kind = ShapeError
        return (RangeError if isinstance(error, IndexError) else kind)(f"{self.name}({operands}): {error}")

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


def wrap_residuals(node: Node) -> dict[str, Value]:
    """The residuals of a node as tensors that are connected to the graph, for a backward pass that is recorded."""
    residuals = node_residuals(node)
    primitive = node.primitive
    assert primitive is not None
    owner = dict(zip(primitive.inputs, node.parents, strict=False)) | {OUTPUT: node}
    return {
        name: array if isinstance(array, tuple) else Tensor(array, owner[name]) if name in owner else array
        for name, array in residuals.items()
    }


def node_residuals(node: Node) -> dict[str, Value]:
    """The residuals of a node.

    Raises:
        GradientError: if an earlier backward pass has released them.
    """
    if node.residuals is RELEASED:
        raise GradientError(
            f"backward() has already been through this graph (at {node.name}) and released what it kept",
            hint="backward(retain_graph=True) the first time, or compute the loss again",
            position=node.position,
        )
    return node.residuals


def _outermost(inputs: Sequence[Value]) -> Any:
    """Of several special tensors among the inputs, the one whose transformation was entered last."""
    special: list[Any] = [x for x in inputs if isinstance(x, Tensor) and type(x) is not Tensor]
    return max(special, key=lambda x: x.level)


def filled(value: Any, shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """An array of equal elements that takes the memory of one (all strides are zero)."""
    if not shape:
        return np.array(value, dtype)
    return np.ndarray(shape, dtype, np.array(value, dtype), 0, (0,) * len(shape))


def _spread_numbers(arrays: list[Any]) -> None:
    """Replace Python numbers by arrays of the shape and dtype of the other input, in which they are weak."""
    for i, x in enumerate(arrays):
        if isinstance(x, (int, float)):
            other = next(y for y in arrays if hasattr(y, "dtype") and (y.dtype != np.bool_ or isinstance(x, bool)))
            arrays[i] = filled(x, other.shape, other.dtype)


# Tracing -------------------------------------------------------------------------------------------------------------

_tracing = 0
"""How many traces are running, in all threads. A plain number, since every operation looks at it."""

_tracing_lock = threading.Lock()


class tracing:
    """Context in which the primitives that this thread applies are shown to a tracer, see `clearprop.trace`."""

    def __init__(self, tracer: Any) -> None:
        self.tracer = tracer

    def __enter__(self) -> None:
        self._count(1)
        self.outer = state.tracer, state.observer
        state.tracer, state.observer = self.tracer, None

    def __exit__(self, *_: object) -> None:
        state.tracer, state.observer = self.outer
        self._count(-1)

    def _count(self, by: int) -> None:
        global _tracing
        with _tracing_lock:
            _tracing += by


P = TypeVar("P", bound="Primitive")

# The registry --------------------------------------------------------------------------------------------------------

PRIMITIVES: dict[str, Primitive] = {}
"""Every primitive by its name."""

LOWERINGS: dict[str, dict[str, Callable[..., Any]]] = {"native": {}, "xla": {}}
"""By executor and name of the primitive: how `clearprop.compiler` turns a node into code. Filled from there."""


def register(primitive: P) -> P:
    """Enter a primitive into the registry; two of one name are an error."""
    if primitive.name in PRIMITIVES:
        raise ValueError(f"there is a primitive {primitive.name} already")
    PRIMITIVES[primitive.name] = primitive
    return primitive


def lookup(name: str) -> Primitive:
    """The primitive of that name."""
    return PRIMITIVES[name]


def missing_lowerings(executor: str) -> list[str]:
    """Names of the primitives that an executor cannot run by itself."""
    return sorted(PRIMITIVES.keys() - LOWERINGS[executor].keys())


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))
