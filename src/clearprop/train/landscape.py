"""The loss around the weights of a network, on a plane through them.

After H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein, "Visualizing the Loss Landscape of Neural Nets", 2018
(https://arxiv.org/abs/1712.09913), whose sections are named below.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.arguments import flag, number, whole
from clearprop.compiler import compile as compiled
from clearprop.errors import UsageError
from clearprop.lens.drawing.saving import Svg
from clearprop.nn import Module
from clearprop.tensor import Tensor, as_tensor
from clearprop.train.checks import split_batch
from clearprop.train.drawing import plots
from clearprop.train.drawing.charts import Floats
from clearprop.train.drawing.heat import number as short
from clearprop.train.modes import evaluating

_HERE = "the weights as they are"

Direction = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True, eq=False)
class Landscape:
    """What `loss_landscape` returns. A notebook shows it as a picture.

    Attributes:
        steps: how far along a direction, from -span to span.
        loss: at each place, of shape (len(steps), len(steps)): [along the second direction, along the first].

    >>> steps = np.linspace(-1.0, 1.0, 3)
    >>> Landscape(steps, steps**2 + steps[:, np.newaxis] ** 2)
    <Landscape of 9 losses, 0 to 2: .steps, .loss, .draw()>
    """

    steps: Floats
    loss: Floats

    def panel(self, title: str, levels: Sequence[float] | None = None) -> plots.Panel:
        """The picture as a part of a larger one: see `draw` and `plots.picture`."""
        middle = len(self.steps) // 2
        words = f"{self._range()} over a plane through the weights, in the middle {short(self.loss[middle, middle])}."
        return plots.field(title, self.steps, self.steps, self.loss, words=words, levels=levels, origin=_HERE)

    def draw(self, title: str = "Loss around the weights", levels: Sequence[float] | None = None) -> Svg:
        """A contour map, with a cross where the network is.

        Args:
            levels: of the contours; by default round numbers. Landscapes that are compared should have the same.
        """
        return plots.picture(title, [[self.panel(title, levels)]])

    def _range(self) -> str:
        finite = self.loss[np.isfinite(self.loss)]
        found = f"{short(finite.min())} to {short(finite.max())}" if finite.size else "none finite"
        more = self.loss.size - finite.size
        return f"{found}, {more:,} not finite" if more and finite.size else found

    def _repr_html_(self) -> str:
        return self.draw()._repr_html_()

    def __repr__(self) -> str:
        return f"<Landscape of {self.loss.size:,} losses, {self._range()}: .steps, .loss, .draw()>"


def loss_landscape(
    model: Module,
    loss: Callable[[Any, Any], Any],
    batch: Any,
    *,
    span: float = 1.0,
    points: int = 25,
    seed: int = 0,
    compile: bool = True,
) -> Landscape:
    """The loss f(α, β) = L(θ + α δ + β η) around the weights θ, along two random directions δ and η (section 2).

    A filter is what feeds one unit: a row of a linear layer's weights as PyTorch stores them, one output channel of a
    convolution. Each filter of a direction gets the norm of the network's filter in the same place, d ← d ‖θ‖ / ‖d‖
    (section 4), so that networks whose weights have another scale can be compared. What is no matrix, such as biases
    and the weights of normalizations, stays where it is.

    It looks at a copy, in evaluation mode: the weights are afterwards what they were.

    Args:
        loss: ``loss(output, target)``, as for `fit`.
        batch: a tuple of inputs and, last, a target; the more examples, the less noise.
        span: how far to go; at 1 every filter has been moved by its own length.
        points: along each direction; points² losses are computed. An odd number has the network itself in the middle.
        seed: of the directions.
        compile: run as compiled code; False for a network that asks for values.

    Raises:
        UsageError, DataError: arguments that are no network, no loss, no batch, or a loss that is not one number.
        TraceError: the network cannot be compiled.

    >>> import clearprop as cp
    >>> from clearprop import data, nn, train
    >>> cp.random.seed(0)
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    >>> landscape = train.loss_landscape(model, nn.CrossEntropyLoss(), data.digits("train")[:128], points=5)
    >>> landscape.steps.tolist(), landscape.loss.shape
    ([-1.0, -0.5, 0.0, 0.5, 1.0], (5, 5))
    """
    if not isinstance(model, Module):
        raise UsageError(f"loss_landscape: the model is a {type(model).__name__}", hint="an nn.Module")
    given: Any = loss
    if not callable(given) or isinstance(given, type):
        name = getattr(given, "__name__", repr(given))
        raise UsageError(f"loss_landscape: the loss is {name}"[:200], hint="nn.CrossEntropyLoss()")
    inputs, target = split_batch(batch, "loss_landscape")
    span = number("loss_landscape", "span", span, positive=True)
    points = whole("loss_landscape", "points", points, 2)
    rng = np.random.default_rng(whole("loss_landscape", "seed", seed, 0))
    network = copy.deepcopy(model)
    weights = _weights(network)
    first, second = (_direction(weights, rng) for _ in range(2))
    steps = np.linspace(-span, span, points)

    def loss_of(*parts: Any) -> Any:
        return loss(network(*parts[:-1]), parts[-1])

    run = compiled(loss_of) if flag("loss_landscape", "compile", compile) else loss_of
    parts = [as_tensor(part) for part in (*inputs, target)]
    losses = np.empty((points, points))
    with evaluating(network):
        for i, beta in enumerate(steps):
            for j, alpha in enumerate(steps):
                _move(network, weights, {name: alpha * first[name] + beta * second[name] for name in first})
                losses[i, j] = _number(run(*parts))
    return Landscape(steps, losses)


def _weights(model: Module) -> Direction:
    """All parameters of two axes or more, in PyTorch's layout, in which the first axis counts the filters."""
    state = model.state_dict(layout="torch")
    return {name: np.asarray(state[name].array) for name, cell in model.named_parameters() if len(cell.shape) > 1}


def _direction(weights: Mapping[str, Any], rng: np.random.Generator) -> Direction:
    """Normally distributed, each filter with the norm of the weights' own."""
    found = {}
    for name, weight in weights.items():
        drawn = rng.standard_normal(weight.shape)
        axes = tuple(range(1, weight.ndim))
        norms = [np.sqrt(np.square(one).sum(axis=axes, keepdims=True, dtype=np.float64)) for one in (weight, drawn)]
        found[name] = drawn * norms[0] / np.maximum(norms[1], np.finfo(np.float64).tiny)
    return found


def _move(model: Module, weights: Mapping[str, Any], by: Direction) -> None:
    moved = {name: Tensor((weight + by[name]).astype(weight.dtype)) for name, weight in weights.items()}
    model.load_state_dict(moved, strict=False, layout="torch")  # not strict: the others stay


def _number(loss: Any) -> float:
    if not isinstance(loss, Tensor) or loss.size != 1:
        what = f"shape {loss.shape}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise UsageError(
            f"loss_landscape: the loss must be one number as a tensor; it is {what}",
            hint="loss.mean(), or a loss of nn",
        )
    return float(loss.item())
