"""One step of training: forward pass, backward pass and update, compiled as one function where that is possible."""

from __future__ import annotations

from typing import Any, NamedTuple

from clearprop.array import check_finite
from clearprop.compiler import compile as compiled
from clearprop.errors import NotFiniteError, TraceError, UsageError
from clearprop.nn.utils import clip_grad_norm_
from clearprop.tensor import Tensor
from clearprop.train import checks
from clearprop.train.callbacks import overrides
from clearprop.train.run import Run, diverged

_MOST_SHAPES = 16
"""Batches of so many different shapes are compiled for: each takes the time of hundreds of small steps."""


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
        compile: True or False; None compiles if the network can be traced, and says so if it cannot.
    """

    def __init__(self, run: Run, *, compile: bool | None) -> None:
        self._run = run
        self._parameters = list(run.model.parameters())
        self._may_fall_back = compile is None
        looks = any(overrides(callback, "on_step_end") for callback in run.callbacks)  # at gradients, perhaps
        self._compiled = None if compile is False else compiled(self._update, keep_grads=looks)

    def __call__(self, inputs: tuple[Any, ...], target: Any) -> Done:
        """Train with one batch.

        Raises:
            DivergenceError: the loss or the norm of the gradients is not finite; the weights are as they were.
        """
        try:
            loss, _, output = self._run_it(inputs, target)
        except NotFiniteError as error:
            number = self._run.position.step + 1
            if error.what == _LOSS:
                checks.check_some_label(target, getattr(self._run.loss, "ignore_index", None), number)
            raise diverged(f"{error.what} of step {number:,} is {error.value}", self._run) from None
        return Done(float(loss.item()), output)

    def _run_it(self, inputs: tuple[Any, ...], target: Any) -> Any:
        if self._compiled is None:
            return self._update(inputs, target)
        try:
            result = self._compiled(inputs, target)
        except TraceError as error:
            if not self._may_fall_back:
                raise
            self._go_on_eagerly(f"the network cannot be compiled, so this runs operation by operation: {error.message}")
            return self._update(inputs, target)
        if self._may_fall_back and self._compiled.traces > _MOST_SHAPES:
            self._go_on_eagerly(f"batches of more than {_MOST_SHAPES} shapes: from now on operation by operation")
        return result

    def _go_on_eagerly(self, why: str) -> None:
        self._compiled = None
        self._run.note(f"{why}\n(fit(compile=False) says that this is meant)")

    def _update(self, inputs: tuple[Any, ...], target: Any) -> tuple[Tensor, Any, Any]:
        """An ordinary step: the loss, the norm of the gradients if they are clipped, the output if it is asked for."""
        run = self._run
        run.optimizer.zero_grad()
        output = run.model(*inputs)
        loss = check_finite(_as_number(run.loss(output, target)), _LOSS)
        loss.backward()
        norm = None
        if run.clip_grad_norm is not None:
            norm = check_finite(clip_grad_norm_(self._parameters, run.clip_grad_norm), _NORM)
        run.optimizer.step()
        return loss, norm, output if run.metrics else None


_LOSS, _NORM = "the loss", "the norm of the gradients"


def _as_number(loss: Any) -> Tensor:
    if not isinstance(loss, Tensor) or loss.size != 1:
        what = f"shape {loss.shape}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise UsageError(f"fit: the loss must return one number as a tensor; it returned {what}", hint="loss.mean()")
    return loss
