"""Tracing: a function is run once on symbols instead of numbers, and what it applies is noted down as a graph.

While a trace runs, a `Symbol` stands where an array would: it has a shape and a dtype, and no value yet. A primitive
that meets one is not computed but becomes a `Node` of the trace, and its output is a symbol again. Everything else goes
on as ever: tensors hold symbols as they hold arrays, gradients flow through them, a backward pass applies primitives to
symbols. So one run notes down forward pass, backward pass and update alike.

The result is a `Program`: nodes from inputs to outputs, which can be run again on arrays, on tensors (which record), or
on the symbols of another trace. Unlike in the graph that gradients flow through, here every input of a node is a node,
constants too, and nothing is kept for a backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any, NoReturn

import numpy as np

from clearprop.errors import ComputationError, TraceError
from clearprop.graph import Node, leaf, state, take_number
from clearprop.primitive import NOTHING, Primitive, Spec, Value, spec_of, tracing
from clearprop.primitives.control import item, stop_gradient
from clearprop.primitives.families import Elementwise
from clearprop.primitives.reduction import broadcast
from clearprop.source import caller
from clearprop.tensor import GradientHolder, Tensor

_number_of = attrgetter("number")

_MOST_BYTES_COMPARED = 1 << 16
"""Of constants that are larger it is not looked whether they are equal."""


class Symbol:
    """Stands where an array stands while a function is traced."""

    __slots__ = ("node", "tracer")

    def __init__(self, node: Node, tracer: Tracer) -> None:
        self.node = node
        self.tracer = tracer

    shape = property(lambda self: self.node.shape, doc="Lengths of the axes.")
    dtype = property(lambda self: self.node.dtype, doc="NumPy's data type of the elements.")
    ndim = property(lambda self: len(self.node.shape), doc="Number of axes.")
    size = property(lambda self: spec_of(self).size, doc="Number of elements.")
    nbytes = property(lambda self: spec_of(self).nbytes, doc="Bytes of the value, once there is one.")

    def _no_value(self, *_: Any, **__: Any) -> NoReturn:
        raise TraceError(
            f"a function that is traced has no numbers yet: {self!r} has no value that if, float(), print() or NumPy "
            "could use",
            hint="cp.where(condition, a, b) instead of if; shapes and dtypes are known and may be asked for",
        )

    __array__ = __bool__ = __float__ = __int__ = __index__ = __iter__ = __len__ = __getitem__ = _no_value

    def __repr__(self) -> str:
        return f"<symbol {spec_of(self)} of {self.node.name}>"


class Program:
    """Nodes from inputs to outputs.

    Attributes:
        inputs: nodes whose values are given when it is run.
        outputs: nodes whose values it returns.
        constants: the values of nodes that are always the same.
        order: the nodes to be computed, each after those that it needs.
    """

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node], constants: dict[Node, Any]) -> None:
        self.inputs, self.outputs = list(inputs), list(outputs)
        nodes, given = needed_for(self.outputs, self.inputs), set(self.inputs)
        self.constants = {node: constants[node] for node in nodes if node in constants}
        self.order = [node for node in nodes if node.primitive is not None and node not in given]

    @cached_property
    def _last_use(self) -> dict[Node, list[Node]]:
        """For each node, which values nobody needs once it has been computed."""
        last = {parent: node for node in self.order for parent in node.parents if parent is not None}
        kept = {*self.outputs, *self.constants}
        done: dict[Node, list[Node]] = {}
        for value, node in last.items():
            if value not in kept:
                done.setdefault(node, []).append(value)
        return done

    def run(self, values: Sequence[Value]) -> list[Value]:
        """The outputs for these inputs: arrays, tensors (then it is recorded) or symbols (then it is traced again)."""
        known: dict[Any, Value] = dict(self.constants)
        known.update(zip(self.inputs, values, strict=True))
        outer = state.position, state.module
        try:
            for node in self.order:
                assert node.primitive is not None
                state.position, state.module = node.position, node.module  # what is recorded is of the same line
                known[node] = node.primitive(*[known[parent] for parent in node.parents], **node.attributes)
                for done in self._last_use.get(node, ()):
                    del known[done]
        except ComputationError as error:
            error.where = node.where or error.where
            raise
        finally:
            state.position, state.module = outer
        outputs = [known[node] for node in self.outputs]
        if any(isinstance(value, Tensor) for value in values):  # a constant is a tensor among tensors, too
            return [value if isinstance(value, Tensor) else Tensor(value) for value in outputs]
        return outputs

    def flops(self) -> int:
        """Floating-point operations of one run."""
        return sum(node_flops(node) for node in self.order)

    def __str__(self) -> str:
        lines = [f"program: {len(self.inputs)} inputs, {len(self.order)} nodes, {len(self.outputs)} outputs"]
        for node in self.order:
            operands = ", ".join(self._operand(parent) for parent in node.parents)
            attributes = "".join(f", {key}={value}" for key, value in node.attributes.items())
            lines.append(f"%{node.number}  {node.name}({operands}{attributes})  {node.dtype}{list(node.shape)}")
        return "\n".join(lines)

    def _operand(self, node: Node | None) -> str:
        assert node is not None
        constant = self.constants.get(node)
        return str(constant) if constant is not None and constant.size == 1 else f"%{node.number}"


def node_flops(node: Node) -> int:
    """Floating-point operations of one node."""
    assert node.primitive is not None
    specs = [spec_of(parent) for parent in node.parents if parent is not None]
    return node.primitive.flops(spec_of(node), *specs, **node.attributes)


def _in_words(attributes: dict[str, Any]) -> Any:
    """Equal for the same attributes; 0.0 and -0.0, which are equal, are not the same."""
    if any(isinstance(value, float) and not value for value in attributes.values()):
        return str(attributes)
    return tuple(attributes.items())


def needed_for(outputs: Iterable[Node], inputs: Iterable[Node] = ()) -> list[Node]:
    """All nodes that the outputs depend on, down to the inputs, each after those that it needs."""
    ends, reached = set(inputs), set(outputs)
    waiting = [node for node in reached if node not in ends]
    while waiting:
        for parent in waiting.pop().parents:
            if parent is not None and parent not in reached:
                reached.add(parent)
                if parent not in ends:
                    waiting.append(parent)
    return sorted(reached, key=_number_of)


class OutsideOfTrace:
    """Stands where a gradient would be added up that arrives at a tensor from outside of the trace."""

    @property
    def grad(self) -> NoReturn:
        raise TraceError(
            "backward() arrives at a tensor from outside of what is traced (a compiled function, a step of scan in "
            "it), and cannot add into its .grad",
            hint="cp.grad, or detach() what comes from outside",
        )


class Tracer:
    """Notes down what is applied to symbols.

    Args:
        outer: the trace inside which this one runs, whose symbols are values from outside.
        merge: whether what is applied twice to the same nodes becomes one node.
        cut: whether the program shall remember where no gradient flows, because it will be differentiated: a value that
            was detached, or computed under ``no_grad``, then passes a ``stop_gradient``.

    Attributes:
        inputs: the nodes of its inputs.
        captured: tensors from outside that were used, each with the input that stands for it. They are those that have
            a history, or have no value yet; all others are constants.
        visited: modules that were called.
        has_own_rules: whether gradients flow as the user says (`Function`, hooks) and not as the program tells.
    """

    def __init__(self, outer: Tracer | None = None, *, merge: bool = False, cut: bool = False) -> None:
        self.outer = outer
        self.cut = cut
        self._merged: dict[Any, Node] | None = {} if merge else None
        self.since = take_number()
        self.has_own_rules = False
        self.inputs: list[Node] = []
        self.captured: dict[Tensor, Tensor] = {}
        self.visited: dict[Any, None] = {} if outer is None else outer.visited
        self.constants: dict[Node, Any] = {}
        self._captured_as: dict[tuple[int, int], Tensor] = {}
        self._constant_nodes: dict[int, Node] = {}
        self._outputs: dict[Any, Spec] = {}

    def input(self, spec: Spec, name: str = "") -> Symbol:
        """A new input."""
        node = leaf(spec.shape, spec.dtype, GradientHolder(name or f"input {len(self.inputs)}"), caller())
        self.inputs.append(node)
        return Symbol(node, self)

    def tensor(self, spec: Spec, *, trained: bool = True) -> Tensor:
        """A new input as a tensor, to which gradients flow if it is trained."""
        symbol = self.input(spec)
        if not trained or spec.dtype.kind != "f":
            return Tensor(symbol)
        node = leaf(spec.shape, spec.dtype, OutsideOfTrace())
        node.number = self.since  # from outside, and so older than all that is recorded here, whenever it is captured
        return Tensor(symbol, node)

    def lifted(self, x: Tensor) -> Tensor:
        """What stands for a tensor in this trace: itself, or a new input if it is a value from outside."""
        if type(x) is not Tensor:  # in the hands of a vmap, which may have begun before the trace
            is_outside = getattr(x, "level", self.since + 1) <= self.since
            return self._capture(x, (id(x), 0)) if is_outside else x
        if type(x.array) is not Symbol:  # a number; with a history from outside it is not a constant
            is_outside = x.node is not None and x.node.number <= self.since
            return self._capture(x, (id(x.array), id(x.node))) if is_outside else x
        if x.array.tracer is not self:
            self._check_outer(x.array)
            return self._capture(x, (id(x.array), id(x.node)))
        if self.cut and x.node is None and x.array.dtype.kind == "f":
            return Tensor(self.note(stop_gradient, [x.array], {}))
        return x

    def _capture(self, x: Tensor, key: tuple[int, int]) -> Tensor:
        if key not in self._captured_as:
            # In a trace that does not mark cuts, a symbol without a history may be an input all the same.
            unknown = type(x) is Tensor and type(x.array) is Symbol and not x.array.tracer.cut
            self._captured_as[key] = self.captured[x] = self.tensor(spec_of(x), trained=x.requires_grad or unknown)
        return self._captured_as[key]

    def _check_outer(self, x: Symbol) -> None:
        tracer = self.outer
        while tracer is not None and tracer is not x.tracer:
            tracer = tracer.outer
        if tracer is None:
            raise TraceError(
                f"{x!r} comes from a trace that is over",
                hint="return it from the traced function instead of keeping it elsewhere",
            )

    def note(self, primitive: Primitive, arrays: Sequence[Any], attributes: dict[str, Any]) -> Any:
        """Compute with constants; with symbols, make a node and return the symbol of its output."""
        if Symbol not in map(type, arrays):
            return primitive.compute(*arrays, **attributes)
        parents = tuple(
            [x.node if type(x) is Symbol and x.tracer is self else self._node(x, arrays) for x in arrays]
        )  # fmt: skip
        if isinstance(primitive, Elementwise):
            parents = self._of_one_shape(parents)
        return Symbol(self._applied(primitive, parents, attributes), self)

    def _applied(self, primitive: Primitive, parents: tuple[Node, ...], attributes: dict[str, Any]) -> Node:
        """The node of one application."""
        return self._made(primitive, parents, attributes, self._output(primitive, parents, attributes))

    def _output(self, primitive: Primitive, parents: Sequence[Node], attributes: dict[str, Any]) -> Spec:
        """Shape and dtype of an output; of equal layers they are found once."""
        key = (primitive, *attributes.items(), *[(parent.shape, parent.dtype) for parent in parents])
        output = self._outputs.get(key)
        if output is None:
            output = self._outputs[key] = primitive.shape(*map(spec_of, parents), **attributes)
        return output

    def _of_one_shape(self, parents: tuple[Node, ...]) -> tuple[Node, ...]:
        """Single numbers beside arrays, which NumPy would repeat by itself, repeated by a broadcast."""
        shape = parents[0].shape
        if [parent.shape for parent in parents].count(shape) == len(parents):
            return parents
        shape = max((parent.shape for parent in parents), key=len)
        attributes = {"shape": shape, "axes": tuple(range(len(shape)))}
        return tuple(
            self._made(broadcast, (parent,), attributes, Spec(shape, parent.dtype))
            if shape and not parent.shape
            else parent
            for parent in parents
        )

    def note_several(
        self, primitive: Primitive, arrays: Sequence[Any], attributes: dict[str, Any], outputs: Sequence[Spec]
    ) -> list[Symbol]:
        """The same for a primitive with several outputs: each is taken out of its node by an ``item``."""
        parents = tuple(self._node(x, arrays) for x in arrays)
        whole = self._made(primitive, parents, attributes, Spec((), np.dtype(np.int64)))
        parts = [self._made(item, (whole,), {"index": i}, spec) for i, spec in enumerate(outputs)]
        return [Symbol(node, self) for node in parts]

    def _made(self, primitive: Primitive, parents: tuple[Node, ...], attributes: dict[str, Any], output: Spec) -> Node:
        key = None if self._merged is None else (primitive, parents, _in_words(attributes))
        node = None if self._merged is None else self._merged.get(key)
        if node is None:
            position = state.position or caller()
            node = Node(primitive, parents, attributes or NOTHING, *output, NOTHING, position, state.module)
            if self._merged is not None:
                self._merged[key] = node
        return node

    def node_of(self, x: Any) -> Node:
        """The node of an output: of a symbol its own, of an array a constant."""
        return self._node(x, ())

    def _node(self, x: Any, others: Sequence[Any]) -> Node:
        if type(x) is Symbol:
            if x.tracer is self:
                return x.node
            self._check_outer(x)
            captured: Symbol = self._capture(Tensor(x), (id(x), 0)).array
            return captured.node
        if isinstance(x, (int, float)) and not isinstance(x, np.generic):  # a Python number, which is weak
            like = next(y for y in others if hasattr(y, "dtype") and (y.dtype != np.bool_ or isinstance(x, bool)))
            return self._repeated(np.asarray(x, like.dtype), like.shape, range(len(like.shape)))
        if x.size == 0:
            return self._repeated(np.zeros((), x.dtype), x.shape, range(x.ndim))
        axes = [i for i, step in enumerate(x.strides) if not step or x.shape[i] == 1]
        if x.size == 1 or any(x.shape[i] != 1 for i in axes):  # the same along some axes, as a mask, or along all
            part = x[tuple(0 if i in axes else slice(None) for i in range(x.ndim))]
            return self._repeated(np.asarray(part), x.shape, axes)
        return self._constant(np.asarray(x))

    def _constant(self, array: Any) -> Node:
        """One node for each array; it is kept with the node, so that its id is its own."""
        node = self._constant_nodes.get(id(array))
        if node is None:
            node = self._constant_nodes[id(array)] = leaf(array.shape, array.dtype, GradientHolder("constant"))
            self.constants[node] = array
        return node

    def _repeated(self, part: Any, shape: tuple[int, ...], axes: Iterable[int]) -> Node:
        """A constant that is the same along some axes: a part of it, often one number, and a broadcast."""
        is_merged = self._merged is not None and part.nbytes <= _MOST_BYTES_COMPARED
        key = (part.tobytes(), part.dtype, part.shape) if is_merged else None
        node = self._merged.get(key) if self._merged is not None else None
        if node is None:
            node = leaf(part.shape, part.dtype, GradientHolder("constant"))
            self.constants[node] = part
            if self._merged is not None and key is not None:
                self._merged[key] = node
        if not shape:
            return node
        attributes = {"shape": tuple(shape), "axes": tuple(axes)}
        return self._made(broadcast, (node,), attributes, Spec(tuple(shape), part.dtype))


def trace(f: Callable[..., Sequence[Tensor]], specs: Sequence[Spec], tracer: Tracer) -> Program:
    """Run a function of tensors, which returns a list of tensors, on symbols.

    The inputs of the program are those of the function, and then what `Tracer.captured` holds.

    Args:
        specs: shapes and dtypes of its arguments.
        tracer: a new one.
    """
    with tracing(tracer):
        symbols = [tracer.input(spec) for spec in specs]
        results = f(*[Tensor(symbol) for symbol in symbols])
        outputs = [tracer.node_of(tracer.lifted(y).array) for y in results]
    return Program(tracer.inputs, outputs, tracer.constants)
