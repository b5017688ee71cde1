"""Checks of the gradients: that every parameter gets one, and that they are what central differences say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from clearprop.autodiff import no_grad
from clearprop.cell import Parameter
from clearprop.dtypes import float64
from clearprop.errors import ClearpropError
from clearprop.lens import record
from clearprop.nn import Module
from clearprop.tensor import Tensor
from clearprop.train.checking.result import Finding, number
from clearprop.train.checking.subject import FEW, Subject, as_number, trained
from clearprop.train.health.advice import some

Floats = npt.NDArray[np.float64]

_STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
_DIRECTIONS = 2
_LARGEST_ERROR = 1e-3  # a wrong rule is off by much more; a loss may have a part in float32
_SHIFT = 0.01  # of all parameters, by their size: away from kinks, such as that of ReLU at 0 where biases are 0


def frozen(subject: Subject) -> Finding | None:
    """Parameters that are not to be trained, if there are any."""
    names = [name for name, parameter in subject.model.named_parameters() if not parameter.requires_grad]
    if not names:
        return None
    total = len(list(subject.model.parameters()))
    return Finding(
        "frozen parameters", "warning",
        f"{len(names)} of {total} are not trained, with requires_grad=False: {some(names)}",
        "nothing, if that is meant; else parameter.requires_grad = True",
    )  # fmt: skip


def reached(subject: Subject) -> Finding:
    """Whether a gradient comes to every parameter, and is not 0."""
    model = subject.copy(quiet=False)
    parameters = trained(model)
    if not parameters:
        return Finding("gradients", "failed", "the network has no parameter to be trained", "an nn.Parameter")
    with record() as tape:
        subject.loss_of(model).backward()
    missing = [(name, parameter) for name, parameter in parameters if parameter.grad is None]
    if missing:
        cause = tape.why(missing[0][1])
        where = f" ({cause.where})" if cause.where and cause.where not in cause.words else ""
        return Finding(
            "gradients", "failed",
            f"no gradient comes to {len(missing)} of {len(parameters)} parameters: "
            f"{some([name for name, _ in missing])}. {cause.words}{where}",
            cause.advice or "leave out what the loss does not depend on",
        )  # fmt: skip
    zero = [name for name, parameter in parameters if not np.any(_gradient(parameter))]
    if zero:
        cause = tape.why(dict(parameters)[zero[0]])
        return Finding(
            "gradients", "warning", f"the gradient of {some(zero)} is 0 in every element. {cause.words}",
            cause.advice or "other examples; smaller first weights",
        )  # fmt: skip
    return Finding("gradients", "passed", f"one comes to each of {len(parameters)} parameters")


def numerical(subject: Subject) -> Finding:
    """The derivative of the loss along a random direction of all parameters, in float64, by central differences too."""
    few = subject.part(np.arange(min(FEW, subject.examples))) if subject.has_batch_axis else subject
    model = few.copy().to(float64)
    wide = Subject(model, few.loss, tuple(map(_wide, few.inputs)), _wide(few.target))
    random = np.random.default_rng(0)
    try:
        parameters = [parameter for _, parameter in trained(model)]
        for parameter in parameters:
            _move(parameter, _SHIFT * _direction(parameter, random))
        loss = wide.loss_of(model)
        if loss.dtype != float64:
            return Finding("numerical gradients", "skipped", "the network computes in float32, whatever it is given")
        loss.backward()
    except ClearpropError as error:
        return Finding("numerical gradients", "skipped", f"the network does not run in float64: {error.message}")
    flowing = [parameter for parameter in parameters if parameter.grad is not None]
    if not flowing:
        return Finding("numerical gradients", "skipped", "there are no gradients")
    distance, along, differences = min(_compared(wide, model, flowing, random) for _ in range(_DIRECTIONS))
    words = f"along a random direction {number(along)}, by central differences {number(differences)}"
    if distance > _LARGEST_ERROR:
        return Finding(
            "numerical gradients", "failed", f"{words}: a relative error of {distance:.1e}",
            "cp.check_gradients, operation by operation; detach() and rules of your own lie on purpose, perhaps",
        )  # fmt: skip
    return Finding("numerical gradients", "passed", f"{words}: a relative error of {distance:.1e}")


def _compared(
    subject: Subject, model: Module, parameters: Sequence[Parameter], random: np.random.Generator
) -> tuple[float, float, float]:
    """The relative error at the best step size, and the two derivatives."""
    directions = [_direction(parameter, random) for parameter in parameters]
    along = sum(float(np.vdot(_gradient(p), d)) for p, d in zip(parameters, directions, strict=True))
    size = np.sqrt(sum(float(np.vdot(_gradient(p), _gradient(p))) for p in parameters)) or 1.0
    length = np.sqrt(sum(float(np.vdot(d, d)) for d in directions)) or 1.0
    found = []
    for step in _STEPS:
        slope = (_loss_at(subject, model, parameters, directions, step)
                 - _loss_at(subject, model, parameters, directions, -step)) / (2 * step)  # fmt: skip
        # By the size that the derivative could have: where it is near 0 by chance, rounding is all there is.
        scale = max(abs(along), abs(slope), 1e-3 * size * length)
        found.append((abs(slope - along) / scale, along, slope))
    return min(found)


def _loss_at(
    subject: Subject,
    model: Module,
    parameters: Sequence[Parameter],
    directions: Sequence[Floats],
    step: float,
) -> float:
    before = [parameter.value for parameter in parameters]
    for parameter, direction in zip(parameters, directions, strict=True):
        _move(parameter, step * direction)
    with no_grad():
        loss = as_number(subject.loss_of(model))
    for parameter, value in zip(parameters, before, strict=True):
        parameter.assign(value)
    return loss


def _direction(parameter: Parameter, random: np.random.Generator) -> Floats:
    """Random numbers of the size of the parameter."""
    size = float(np.sqrt(np.mean(np.square(np.asarray(parameter.peek_array(), np.float64))))) if parameter.size else 0.0
    return random.standard_normal(parameter.shape) * (size or 0.1)


def _move(parameter: Parameter, by: Floats) -> None:
    parameter.assign(np.asarray(parameter.value.array) + by)


def _gradient(parameter: Parameter) -> Floats:
    assert parameter.grad is not None
    return np.asarray(parameter.grad.array, np.float64)


def _wide(x: Tensor) -> Tensor:
    array = np.asarray(x.array)
    return Tensor(array.astype(np.float64)) if array.dtype.kind == "f" else x
