"""One step of training: forward pass, backward pass and update, compiled as one function where that is possible."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

import numpy as np

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
    """What training with a batch leaves behind, beside the new weights.

    Attributes:
        loss: of the batch, before the update.
        output: of the network, if a metric asks for it.
    """

    loss: float
    output: Any


class Step:
    """Updates the weights of a run, with each batch, or with several together."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._parameters = list(run.model.parameters())
        looks = any(callback.reads_gradients and overrides(callback, "on_step_end") for callback in run.listeners)
        self._settings: dict[str, Any] = {"compile": run.compile, "note": run.note, "keep_grads": looks}
        self._update = OfBatches(self._train, **self._settings)
        self._gather = OfBatches(self._gather_gradients, **self._settings)
        self._apply: dict[frozenset[int], OfBatches] = {}  # by the parameters that a group has reached

    def __call__(self, inputs: tuple[Any, ...], target: Any) -> Done:
        """Train with one batch; if several make an update, only add its gradients to theirs.

        Raises:
            DivergenceError: the loss or the norm of the gradients is not finite; the weights are as they were.
        """
        sums = self._run.gradient_sums
        with self._told(*inputs, target):
            if sums is None:
                loss, _, output = self._updated(*inputs, target)
                return Done(float(loss.item()), output)
            loss, reached, output = self._gather(*inputs, target)
            first, done = sums.is_empty, Done(float(loss.item()), output)
            sums.note(reached, len(target), done.loss)
            if first:
                self._look_beside(*inputs, target)
            return done

    def apply(self) -> float:
        """Update the weights with the gradients of several batches.

        Returns:
            the mean loss of their examples, before the update.

        Raises:
            DivergenceError: as of a call.
        """
        sums = self._run.gradient_sums
        assert sums is not None
        reached, loss = frozenset(sums.reached), sums.mean_loss
        if reached not in self._apply:
            self._apply[reached] = OfBatches(self._apply_gradients, **self._settings)
        with self._told():
            self._apply[reached](Tensor(np.array(sums.examples)))
        sums.begin()
        return loss

    @contextmanager
    def _told(self, *batch: Any) -> Iterator[None]:
        """Inside, what is not finite is told as the end of the run."""
        try:
            yield
        except NotFiniteError as error:
            number = self._run.position.step + 1
            if error.what == _LOSS:
                checks.check_some_label(batch[-1], getattr(self._run.loss, "ignore_index", None), number)
            if error.what not in (_LOSS, _NORM):  # a check of the user's own
                raise
            what = f"{error.what} of step {number:,} is {error.value}"
            beginning = self._beginning(*batch) if batch else ("", "")
            raise diverged(what, self._run, *beginning) from None

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

    def _look_beside(self, *batch: Any) -> None:
        """Look at the health of a step with one batch of several: it is taken, and taken back."""
        health = self._run.health
        if health is None or not health.is_due(self._run.position.step):
            return
        if self._gather.is_eager:
            with Unchanged():
                health.watch(self._run, self._train, batch)
        else:
            health.look(self._run, self._train, tuple(map(as_tensor, batch)))

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

    # What is compiled ---------------------------------------------------------------------------------------------

    def _train(self, *batch: Any) -> tuple[Tensor, Any, Any]:
        """An ordinary step: the loss, the norm of the gradients if they are clipped, the output if it is asked for."""
        self._run.optimizer.zero_grad()
        loss, output = self._forward(*batch)
        loss.backward()
        return loss, self._take_step(), output

    def _gather_gradients(self, *batch: Any) -> tuple[Tensor, tuple[int, ...], Any]:
        """Add the gradients of one batch of several to the sums: the loss, who has been reached, the output."""
        run = self._run
        assert run.gradient_sums is not None
        run.optimizer.zero_grad()
        loss, output = self._forward(*batch)
        (loss * float(len(batch[-1]))).backward()
        return loss, run.gradient_sums.add(), output

    def _apply_gradients(self, examples: Tensor) -> Any:
        """The update after several batches, which have so many examples."""
        assert self._run.gradient_sums is not None
        self._run.gradient_sums.put(examples)
        return self._take_step()

    def _forward(self, *batch: Any) -> tuple[Tensor, Any]:
        run, (*inputs, target) = self._run, batch
        output = run.model(*inputs)
        loss = check_finite(_as_number(run.loss(output, target)), _LOSS)
        return loss, output if run.metrics else None

    def _take_step(self) -> Any:
        """Clip the gradients, and update the weights; the norm, if there is a limit to it."""
        run, norm = self._run, None
        if run.clip_grad_norm is not None:
            norm = check_finite(clip_grad_norm_(self._parameters, run.clip_grad_norm), _NORM)
        run.optimizer.step()
        return norm


def _as_number(loss: Any) -> Tensor:
    if not isinstance(loss, Tensor) or loss.size != 1:
        what = f"shape {loss.shape}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise UsageError(f"fit: the loss must return one number as a tensor; it returned {what}", hint="loss.mean()")
    return loss
