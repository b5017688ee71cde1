"""An ensemble: several networks that answer together, by their mean or by majority."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from clearprop.arguments import is_whole, one_of
from clearprop.array import arange, argmax, concat, log, logaddexp, logsumexp, reshape, stack, take
from clearprop.errors import ShapeError, UsageError
from clearprop.functional import log_softmax, logsigmoid
from clearprop.nn import Module, ModuleList
from clearprop.tensor import Tensor

Vote: TypeAlias = Literal["mean", "probabilities", "majority"]


class Ensemble(Module):
    """Several networks that answer together; `evaluate` takes it like one network.

    Args:
        models: networks that take the same inputs and give outputs of the same shape.
        vote: "mean", the mean of their outputs, for networks that predict numbers; of classifiers, whose outputs are
            logits, "probabilities", the mean of their probabilities, or "majority", in which each has one vote and ties
            are decided by the mean of the probabilities.
        class_axis: of the outputs of classifiers.

    Shapes of outputs: of classifiers (N, classes, …), or (N, 1) with one logit for two classes. A vote among
    classifiers gives logits again, of the mean probabilities, or, for the majority, of (votes + mean probabilities) /
    (networks + 1): so accuracy, losses and all metrics take them.

    Raises:
        UsageError: no networks, or something that is none.
        ShapeError: outputs of different shapes.

    >>> import clearprop as cp
    >>> class Says(cp.nn.Module):
    ...     def __init__(self, *probabilities):
    ...         self.logits = cp.log(cp.tensor(probabilities))
    ...     def forward(self, x):
    ...         return cp.broadcast_to(self.logits, (len(x), 2))
    >>> models = [Says(0.6, 0.4), Says(0.6, 0.4), Says(0.0001, 0.9999)]
    >>> for vote in ("probabilities", "majority"):
    ...     print(cp.functional.softmax(Ensemble(models, vote)(cp.ones((1, 3)))))
    Tensor([[0.40003, 0.59997]], dtype=float32)
    Tensor([[0.60001, 0.39999]], dtype=float32)
    """

    def __init__(self, models: Iterable[Module], vote: Vote = "mean", *, class_axis: int = 1) -> None:
        one_of("Ensemble", "vote", vote, "mean", "probabilities", "majority")
        if not is_whole(class_axis):
            raise UsageError(f"Ensemble: class_axis={class_axis!r}", hint="1; -1 for (N, tokens, classes)")
        self.models = ModuleList(_networks(models))
        self.vote = vote
        self.class_axis = class_axis

    def forward(self, *inputs: Any) -> Any:
        """The answer of all: as an output of one of them."""
        outputs = [model(*inputs) for model in self.models]
        shapes = {tuple(output.shape) for output in outputs}
        if len(shapes) > 1:
            raise ShapeError(
                f"Ensemble: the networks give outputs of shapes {', '.join(map(str, sorted(shapes)))}",
                hint="networks for the same task",
            )
        together = stack(outputs)  # (networks, N, …)
        if self.vote == "mean":
            return together.mean(axis=0)
        axis = self.class_axis % (together.ndim - 1) + 1 if together.ndim > 2 else 0
        if not axis:
            raise ShapeError(
                f"Ensemble: a vote needs logits of shape (N, classes, …); the outputs have shape {shapes.pop()}",
                hint='vote="mean" for numbers',
            )
        if together.shape[axis] > 1:
            return self._voted(log_softmax(together, dim=axis), axis)
        both = self._voted(concat([logsigmoid(-together), logsigmoid(together)], axis=axis), axis)
        return take(both, [1], axis=axis - 1) - take(both, [0], axis=axis - 1)

    def _voted(self, log_probabilities: Tensor, axis: int) -> Tensor:
        """(networks, N, classes, …) -> (N, classes, …), the logarithm of what all say together."""
        networks = len(self.models)
        mean = logsumexp(log_probabilities, axis=0) - math.log(networks)
        if self.vote == "probabilities":
            return mean
        shape = [1] * log_probabilities.ndim
        shape[axis] = log_probabilities.shape[axis]
        chosen = argmax(log_probabilities, axis=axis, keepdims=True)
        votes = (chosen == reshape(arange(shape[axis]), shape)).astype(mean.dtype).sum(axis=0)
        return logaddexp(log(votes), mean) - math.log(networks + 1)


def _networks(models: Any) -> list[Module]:
    if not isinstance(models, Iterable) or isinstance(models, Module):
        raise UsageError(f"Ensemble: models is a {type(models).__name__}", hint="a list of networks")
    given = list(models)
    for model in given:
        if not isinstance(model, Module):
            raise UsageError(f"Ensemble: {model!r:.80} is no network", hint="a list of nn.Module")
    if not given:
        raise UsageError("Ensemble: there are no networks", hint="a list of at least one")
    return given
