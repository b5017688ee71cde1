"""What one step says of the health of a network: norms of gradients and updates, dead and saturated units.

The observer that the core tells of each node and each visit of a backward pass (`clearprop.graph.state.observer`) sees
everything, also what a network computes with functions and not with modules. It computes with whatever the step
computes with: in an eager step numbers, in a step that is being traced symbols, so that the statistics become outputs
of the compiled function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from clearprop import array as xp
from clearprop.autodiff import no_grad
from clearprop.cell import Parameter
from clearprop.dtypes import float32, float64
from clearprop.graph import Node, Observer, state
from clearprop.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, Module, RNNCell
from clearprop.primitives import add
from clearprop.primitives.control import Parts
from clearprop.tensor import Tensor
from clearprop.trace import Symbol
from clearprop.train.health.layers import Layer, layers_of

_FLAT_SIGMOID, _FLAT_TANH = 0.0125, 0.05
"""The part of a sigmoid or tanh is flat where its derivative is less than a twentieth of what it is at 0."""

_MOST_STEPS_BACK = 50
"""So many nodes are looked at for the layer that feeds an activation: broadcasts, normalizations, sums, dropout."""

_PLAIN = (np.ndarray, Symbol, Tensor, np.float32, np.float64)

_RECURRENT = (RNN, LSTM, GRU, RNNCell, LSTMCell, GRUCell)
"""Their gates are meant to saturate; compiled, what is inside them is the body of a loop and not seen."""


@dataclass(frozen=True)
class Activation:
    """A place where units can be dead or saturated.

    Args:
        name: the dotted name of its module; "relu" and so on where a function stands in the user's own forward.
        kind: the primitive.
        feeder: the name of the layer before it; empty if there is none.
    """

    name: str
    kind: str
    feeder: str


class Met(NamedTuple):
    """What there is in a network, as far as a step has met with it.

    Attributes:
        activations: by name; those behind which there is still a layer.
        reached: the parameters at which a gradient has arrived.
    """

    activations: dict[str, Activation]
    reached: frozenset[Parameter]


@dataclass
class Sample:
    """The statistics of one step: numbers (tensors without axes) by name, and for each ReLU which units were active.

    Attributes:
        loss: of the step.
        gradient, weight, update: the norm of the gradient, of the parameters before the update, and of what the update
            added to them, for each layer; of those parameters that have got a gradient.
        upstream: the norm of the gradient that arrives at a layer's output.
        handed_on: the norm of the gradient that the layer hands on to its input.
        flat: for each activation the share of outputs that are 0, or in the flat part.
        active: for each ReLU and unit whether it was above 0 for an example, 1 or 0.
        factor: for each activation what it multiplies the norm of the gradient by.
    """

    loss: Any = None
    gradient: dict[str, Any] = field(default_factory=dict)
    weight: dict[str, Any] = field(default_factory=dict)
    update: dict[str, Any] = field(default_factory=dict)
    upstream: dict[str, Any] = field(default_factory=dict)
    handed_on: dict[str, Any] = field(default_factory=dict)
    flat: dict[str, Any] = field(default_factory=dict)
    active: dict[str, Any] = field(default_factory=dict)
    factor: dict[str, Any] = field(default_factory=dict)


class Watch(Observer):
    """The observer of one step.

    Attributes:
        layers: of the network.
        activations: all that were seen, by name.
        reached: the parameters at which a gradient has arrived.
    """

    def __init__(self, model: Module) -> None:
        super().__init__()
        self.layers = layers_of(model)
        self.activations: dict[str, Activation] = {}
        self._places = {layer.place: layer for layer in self.layers if layer.place is not None}
        self._fed_by = {id(p): layer for layer in self.layers for p in layer.parameters}
        self._recurrent = {module.path for module in model.modules() if isinstance(module, _RECURRENT)}
        self._before = {p: p.value for layer in self.layers for p in layer.parameters}
        self.reached: dict[Parameter, Any] = {}
        self._crossing: dict[Node, dict[str, Any]] = {}  # contributions to a node, by the place that they come from
        self._squares: dict[str, dict[str, Any]] = {"upstream": {}, "handed_on": {}, "before": {}, "behind": {}}
        self._flat: dict[str, list[Any]] = {}
        self._active: dict[str, Any] = {}
        self._watched: dict[Node, str] = {}
        self._latest_layer = -1  # the number of the last node that a parameter goes into

    def __enter__(self) -> Watch:
        self.outer = state.observer
        # By itself it leaves compiled parts as they are: operation by operation they round otherwise.
        self.looks_into_compiled = self.outer is not None and self.outer.looks_into_compiled
        state.observer = self
        return self

    def __exit__(self, *_: object) -> None:
        state.observer = self.outer

    # What the core tells ------------------------------------------------------------------------------------------

    def forward(self, node: Node, arrays: list[Any], output: Any) -> None:
        """A node was recorded."""
        super().forward(node, arrays, output)
        if any(parent is not None and isinstance(parent.cell, Parameter) for parent in node.parents):
            self._latest_layer = node.number
        if node.name in _LOOKS and node.module not in self._recurrent and len(node.shape) > 1:
            self._look_at(node, output)

    def backward(self, node: Node, g: Any, contributions: Any) -> None:
        """A backward pass has been at a node."""
        super().backward(node, g, contributions)
        if isinstance(g, Parts):  # a node with several outputs: of a user's own rule, or a loop
            g = None
        self._close(node, g)
        for parent, contribution in zip(node.parents, contributions, strict=True):
            if parent is None or contribution is None or isinstance(contribution, Parts) or parent.is_leaf:
                continue
            if parent.module != node.module:
                held = self._crossing.setdefault(parent, {})
                held[node.module] = add(held[node.module], contribution) if node.module in held else contribution
            if node in self._watched and g is not None:
                self._count("before", self._watched[node], contribution)
                self._count("behind", self._watched[node], g)

    def arrived(self, node: Node, g: Any) -> None:
        """A gradient has arrived at a leaf."""
        super().arrived(node, g)
        if isinstance(node.cell, Parameter):
            held = self.reached.get(node.cell)
            self.reached[node.cell] = g if held is None else add(held, g)

    # What is made of it -------------------------------------------------------------------------------------------

    def _close(self, node: Node, g: Any) -> None:
        """All contributions to a node are there: what other places have handed on to it, and what has arrived."""
        crossing = self._crossing.pop(node, {})
        for place, handed_on in crossing.items():
            if place in self._places:
                self._count("handed_on", self._places[place].name, handed_on)
        if crossing and node.module in self._places and g is not None:
            self._count("upstream", self._places[node.module].name, g)

    def _count(self, what: str, name: str, x: Any) -> None:
        if type(x) not in _PLAIN:  # in the hands of a vmap
            return
        square = _square(x)
        held = self._squares[what].get(name)
        self._squares[what][name] = square if held is None else held + square

    def _look_at(self, node: Node, output: Any) -> None:
        feeder = self._feeder(node)
        name = node.module or f"{node.name} after {feeder.name}" if feeder is not None else node.module or node.name
        self.activations.setdefault(name, Activation(name, node.name, "" if feeder is None else feeder.name))
        self._watched[node] = name
        is_image = feeder is not None and feeder.is_image_layer
        with _aside():
            value = Tensor(output)
            self._flat.setdefault(name, []).append(_LOOKS[node.name](value))
            if node.name == "relu":
                axis = 1 if is_image else len(node.shape) - 1
                others = tuple(i for i in range(len(node.shape)) if i != axis)
                active = xp.astype(xp.greater(xp.max(value, axis=others), 0.0), float32)
                held = self._active.get(name)
                if held is None or held.shape == active.shape:
                    self._active[name] = active if held is None else xp.maximum(held, active)

    def _feeder(self, node: Node) -> Layer | None:
        """The layer that an activation gets its input from, past whatever is between them."""
        for _ in range(_MOST_STEPS_BACK):
            parents = [parent for parent in node.parents if parent is not None and not parent.is_leaf]
            for parent in node.parents:
                layer = None if parent is None else self._fed_by.get(id(parent.cell))
                if layer is not None and layer.has_matrix:
                    return layer
            place = self._places.get(node.module)
            if place is not None and place.has_matrix:
                return place
            if not parents:
                return None
            node = next((parent for parent in parents if parent.shape == node.shape), parents[0])
        return None

    def met(self) -> Met:
        """What to remember of the step; the watch itself holds its values."""
        return Met({name: one for name, one in self.activations.items() if name in self._hidden()},
                   frozenset(self.reached))  # fmt: skip

    def _hidden(self) -> list[str]:
        """Activations behind which there is still a layer: what an output sigmoid says may well be 0 or 1."""
        return list(dict.fromkeys(name for node, name in self._watched.items() if node.number < self._latest_layer))

    def sample(self, loss: Tensor) -> Sample:
        """The statistics, after the update."""
        found = Sample(loss=xp.astype(loss.detach(), float64))
        with _aside():
            for layer in self.layers:
                own = [parameter for parameter in layer.parameters if parameter in self.reached]
                if not own:
                    continue
                found.gradient[layer.name] = _norm([self.reached[parameter] for parameter in own])
                before = [self._before[parameter].detach() for parameter in own]
                found.weight[layer.name] = _norm(before)
                after = (parameter.value.detach() for parameter in own)
                found.update[layer.name] = _norm([new - old for new, old in zip(after, before, strict=True)])
            found.upstream = {name: xp.sqrt(square) for name, square in self._squares["upstream"].items()}
            found.handed_on = {name: xp.sqrt(square) for name, square in self._squares["handed_on"].items()}
            self._add_activations(found)
        return found

    def _add_activations(self, found: Sample) -> None:
        for name in self._hidden():
            shares = self._flat[name]
            total = shares[0]
            for share in shares[1:]:
                total = total + share
            found.flat[name] = total / len(shares)
            if name in self._active:
                found.active[name] = self._active[name]
            if name in self._squares["before"]:
                arrived = self._squares["behind"][name]
                found.factor[name] = xp.sqrt(self._squares["before"][name] / xp.where(arrived > 0, arrived, 1.0))


class _aside:
    """Context in which nothing is recorded, and no observer is told."""

    def __enter__(self) -> None:
        self._observer, self._no_grad = state.observer, no_grad()
        state.observer = None
        self._no_grad.__enter__()

    def __exit__(self, *error: object) -> None:
        self._no_grad.__exit__(*error)
        state.observer = self._observer


def _square(x: Any) -> Tensor:
    """The sum of the squares, in float64, where it neither overflows nor vanishes."""
    with _aside():
        wide = xp.astype(x if isinstance(x, Tensor) else Tensor(x), float64)
        return xp.sum(wide * wide)


def _norm(values: list[Any]) -> Tensor:
    total = _square(values[0])
    for value in values[1:]:
        total = total + _square(value)
    return xp.sqrt(total)


def _zeros(y: Tensor) -> Tensor:
    return _share(xp.equal(y, 0.0))


def _flat_sigmoid(y: Tensor) -> Tensor:
    return _share(xp.less(y * (1.0 - y), _FLAT_SIGMOID))


def _flat_tanh(y: Tensor) -> Tensor:
    return _share(xp.less(1.0 - y * y, _FLAT_TANH))


def _share(flags: Tensor) -> Tensor:
    return xp.mean(xp.astype(flags, float32))


_LOOKS: dict[str, Callable[[Tensor], Tensor]] = {"relu": _zeros, "sigmoid": _flat_sigmoid, "tanh": _flat_tanh}


def as_numbers(x: Any) -> Any:
    """The numbers of a sample: floats, and arrays of which units were active."""
    array = np.asarray(x.array if isinstance(x, Tensor) else x)
    return float(array) if array.ndim == 0 else array
