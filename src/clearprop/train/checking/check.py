"""`check`: one check after the other; what cannot be gone on from ends the list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from clearprop.autodiff import no_grad
from clearprop.errors import ClearpropError, NotFiniteError
from clearprop.lens import record
from clearprop.nn import Module
from clearprop.train.checking import beginning, data, examples, gradients
from clearprop.train.checking.result import Check, Finding
from clearprop.train.checking.subject import Subject, as_number, nothing_changed


def check(model: Module, loss: Callable[[Any, Any], Any], batch: Any) -> Check:
    """Look for what is wrong with a network, its loss and its data, before it is trained.

    The batch: finite, of a good scale, labels that are classes, a target that is not broadcast against the output. The
    loss of the untrained network, against ln(classes) or the variance of the targets. Gradients: one for every
    parameter, and as central differences say, in float64. Examples: that they do not influence one another, and that a
    few of them can be learned by heart.

    All of it is done with copies: network, gradients and random numbers are afterwards what they were. The result is
    the same each time.

    Args:
        loss: ``loss(output, target)``, as for `fit`.
        batch: a tuple of inputs and, last, a target: ``next(iter(loader))``. Some 32 examples are good; they
            pass through the network a few times, and 8 of them up to 600 times.

    Raises:
        UsageError, DataError: arguments that are no network, no loss, no batch.

    >>> import clearprop as cp
    >>> from clearprop import data, nn
    >>> cp.random.seed(0)
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    >>> result = cp.check(model, nn.CrossEntropyLoss(), data.digits("train")[:32])
    >>> result.ok, result["labels"].text
    (True, '10 of 10 classes are in the batch')
    """
    subject = Subject.of(model, loss, batch)
    with nothing_changed():
        return Check(list(_findings(subject)))


def _findings(subject: Subject) -> Iterator[Finding]:
    found = data.finite(subject)
    yield found
    if found.status == "failed":
        return
    yield data.scale(subject)
    try:
        with no_grad():
            output = subject.copy()(*subject.inputs)
    except ClearpropError as error:
        yield Finding("output", "failed", error.message, error.hint)
        return
    yield data.target_shape(subject, output)
    labels = data.labels(subject, output)
    if labels is not None:
        yield labels
        if labels.status == "failed":
            return
    try:
        with no_grad():
            loss = as_number(subject.loss(output, subject.target))
    except NotFiniteError as error:
        yield Finding("loss at the beginning", "failed", f"{error.message}. {_birth(subject)}", error.hint)
        return
    except ClearpropError as error:
        yield Finding("loss at the beginning", "failed", error.message, error.hint)
        return
    yield beginning.first_loss(subject, output, loss)
    yield from filter(None, [gradients.frozen(subject)])
    for one in (gradients.reached, gradients.numerical, examples.influence, examples.overfit):
        try:
            yield one(subject)
        except ClearpropError as error:
            yield Finding(one.__name__, "failed", error.message, error.hint)


def _birth(subject: Subject) -> str:
    """Where the first NaN or infinity comes from."""
    model = subject.copy()
    with record() as tape:
        subject.loss_of(model)
    return str(tape.birth_of_nan())
