"""One step of training: forward pass, backward pass and update, compiled as one function where that is possible."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from clearprop.array import check_finite
from clearprop.errors import NotFiniteError, UsageError
from clearprop.lens import record
from clearprop.nn.utils import clip_grad_norm_
from clearprop.tensor import Tensor
from clearprop.train import checks
from clearprop.train.callbacks import overrides
from clearprop.train.compiling import OfBatches, as_tensor
from clearprop.train.run import Run, diverged
from clearprop.train.unchanged import Before, Unchanged

_LOSS, _NORM = "the loss", "the norm of the gradients"


class Done(NamedTuple):
    """What a step leaves behind, beside the new weights.

    Attributes:
        loss: of the batch, before the update.
        output: of the network, if a metric asks for it.
    """

    loss: float
    output: Any


class Step:
    """Updates the weights of a run.

    Args:
        compile: as `fit` takes it.
    """

    def __init__(self, run: Run, *, compile: bool | None) -> None:
        self._run = run
        self._parameters = list(run.model.parameters())
        looks = any(overrides(callback, "on_step_end") for callback in run.listeners)  # at gradients, perhaps
        self._update = OfBatches(self._train, compile=compile, note=run.note, keep_grads=looks)

    def __call__(self, inputs: tuple[Any, ...], target: Any) -> Done:
        """Train with one batch.

        Raises:
            DivergenceError: the loss or the norm of the gradients is not finite; the weights are as they were.
        """
        try:
            loss, _, output = self._updated(*inputs, target)
        except NotFiniteError as error:
            number = self._run.position.step + 1
            if error.what == _LOSS:
                checks.check_some_label(target, getattr(self._run.loss, "ignore_index", None), number)
            if error.what not in (_LOSS, _NORM):  # a check of the user's own
                raise
            what = f"{error.what} of step {number:,} is {error.value}"
            raise diverged(what, self._run, *self._beginning(*inputs, target)) from None
        return Done(float(loss.item()), output)

    def _updated(self, *batch: Any) -> Any:
        """Take the step; now and then its health is looked at, too."""
        health = self._run.health
        if health is None or not health.is_due(self._run.position.step):
            return self._update(*batch)
        if self._update.is_eager:
            return health.watch(self._run, self._train, batch)
        look = partial(health.look, self._run, self._train, tuple(map(as_tensor, batch)))
        if self._update.has_compiled:
            look()
            return self._update(*batch)
        with Before() as before:  # the first step goes first: it may turn out that it cannot be compiled
            done = self._update(*batch)
        if not self._update.is_eager:
            with before.again():
                look()
        return done

    def _beginning(self, *batch: Any) -> tuple[str, str]:
        """Where the first NaN comes from, and what to try there; empty if that cannot be told.

        The step is taken once more, operation by operation, while everything is recorded.
        """
        with suppress(NotFiniteError), Unchanged(), record() as tape:
            self._train(*batch)
        birth = tape.birth_of_nan()
        if not birth or birth.row is None:
            return "", ""
        places = [place for place in (birth.row.module, birth.where) if place]
        return f"it begins with {birth.words}" + (f" ({', '.join(places)})" if places else ""), birth.advice

    def _train(self, *batch: Any) -> tuple[Tensor, Any, Any]:
        """An ordinary step: the loss, the norm of the gradients if they are clipped, the output if it is asked for."""
        run, (*inputs, target) = self._run, batch
        run.optimizer.zero_grad()
        output = run.model(*inputs)
        loss = check_finite(_as_number(run.loss(output, target)), _LOSS)
        loss.backward()
        norm = None
        if run.clip_grad_norm is not None:
            norm = check_finite(clip_grad_norm_(self._parameters, run.clip_grad_norm), _NORM)
        run.optimizer.step()
        return loss, norm, output if run.metrics else None


def _as_number(loss: Any) -> Tensor:
    if not isinstance(loss, Tensor) or loss.size != 1:
        what = f"shape {loss.shape}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise UsageError(f"fit: the loss must return one number as a tensor; it returned {what}", hint="loss.mean()")
    return loss
