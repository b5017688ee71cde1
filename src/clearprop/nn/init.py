"""First values of parameters. Every function assigns the cell that it is given, and returns it.

Weights of linear layers are stored [in, out]; those of convolutions [out, in / groups, *window].

    Xavier: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010
    Kaiming: K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", 2015
    orthogonal: A. Saxe, J. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
        linear neural networks", 2013
    sparse: J. Martens, "Deep learning via Hessian-free optimization", 2010
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from clearprop import random
from clearprop.arguments import is_whole, number, one_of
from clearprop.cell import Cell
from clearprop.errors import ShapeError, UsageError
from clearprop.primitives.special import normal_quantile_array
from clearprop.random import Generator
from clearprop.tensor import Tensor

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "fans",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

C = TypeVar("C", bound=Cell)

_LINEAR = ("linear", *(f"conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)))
_GAINS = dict.fromkeys(_LINEAR, 1.0) | {"sigmoid": 1.0, "tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}


def constant_(cell: C, val: float) -> C:
    """All elements the same.

    >>> import clearprop as cp
    >>> cp.nn.init.constant_(cp.Parameter([0.0, 0.0]), 0.5)
    Parameter(Tensor([0.5, 0.5], dtype=float32, requires_grad=True))
    """
    return _assigned(cell, np.full(_checked(cell).shape, number("init.constant_", "val", val, infinite=True)))


def zeros_(cell: C) -> C:
    """All zeros.

    >>> import clearprop as cp
    >>> cp.nn.init.zeros_(cp.Parameter([1.0, 2.0]))
    Parameter(Tensor([0., 0.], dtype=float32, requires_grad=True))
    """
    return constant_(cell, 0.0)


def ones_(cell: C) -> C:
    """All ones.

    >>> import clearprop as cp
    >>> cp.nn.init.ones_(cp.Parameter([1.0, 2.0]))
    Parameter(Tensor([1., 1.], dtype=float32, requires_grad=True))
    """
    return constant_(cell, 1.0)


def normal_(cell: C, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> C:
    """Normally distributed.

    Raises:
        UsageError: std is negative.

    >>> import clearprop as cp
    >>> cp.nn.init.normal_(cp.Parameter(cp.zeros(2)), mean=5.0, std=0.0)
    Parameter(Tensor([5., 5.], dtype=float32, requires_grad=True))
    """
    mean, std = number("init.normal_", "mean", mean), number("init.normal_", "std", std, 0.0)
    return _assigned(cell, random.normal(_checked(cell).shape, mean, std, dtype=cell.dtype, generator=generator))


def uniform_(cell: C, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> C:
    """Equally likely between a and b.

    Raises:
        UsageError: a is larger than b.

    >>> import clearprop as cp
    >>> weight = cp.nn.init.uniform_(cp.Parameter(cp.zeros(1000)), -0.1, 0.1)
    >>> bool(cp.all(abs(weight) <= 0.1))
    True
    """
    low, high = number("init.uniform_", "a", a), number("init.uniform_", "b", b)
    if low > high:
        raise UsageError(f"init.uniform_: a={a} is larger than b={b}", hint=f"uniform_(cell, {b}, {a})")
    return _assigned(cell, random.uniform(_checked(cell).shape, low, high, dtype=cell.dtype, generator=generator))


def xavier_uniform_(cell: C, gain: float = 1.0, generator: Generator | None = None) -> C:
    """Uniform in ±gain √(6 / (fan_in + fan_out)): keeps the variance forward and backward (equation 16).

    >>> import clearprop as cp
    >>> weight = cp.nn.init.xavier_uniform_(cp.nn.Linear(50, 4).weight)  # √(6 / 54) = 1/3
    >>> 0.32 < cp.max(abs(weight)).item() <= 0.33334
    True
    """
    bound = number("init.xavier_uniform_", "gain", gain, 0.0) * math.sqrt(6.0 / _both(cell))
    return uniform_(cell, -bound, bound, generator)


def xavier_normal_(cell: C, gain: float = 1.0, generator: Generator | None = None) -> C:
    """Normal with standard deviation gain √(2 / (fan_in + fan_out)) (equation 12 of the paper).

    >>> import clearprop as cp
    >>> weight = cp.nn.init.xavier_normal_(cp.nn.Linear(100, 100).weight)
    >>> 0.095 < cp.std(weight).item() < 0.105
    True
    """
    gain = number("init.xavier_normal_", "gain", gain, 0.0)
    return normal_(cell, 0.0, gain * math.sqrt(2.0 / _both(cell)), generator)


def kaiming_uniform_(
    cell: C, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator | None = None
) -> C:
    """Uniform with the variance gain² / fan: in ±gain √(3 / fan).

    Args:
        a: the negative slope, for leaky_relu.
        mode: "fan_in" keeps the variance forward (equation 10 of the paper), "fan_out" backward (equation 14).
        nonlinearity: whose `calculate_gain` to use.

    >>> import clearprop as cp
    >>> weight = cp.nn.init.kaiming_uniform_(cp.nn.Linear(600, 20).weight, nonlinearity="relu")  # √2 √(3 / 600) = 0.1
    >>> 0.099 < cp.max(abs(weight)).item() <= 0.10001
    True
    """
    bound = math.sqrt(3.0) * _kaiming_std(cell, a, mode, nonlinearity)
    return uniform_(cell, -bound, bound, generator)


def kaiming_normal_(
    cell: C, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Generator | None = None
) -> C:
    """Normal with the variance gain² / fan; arguments as of `kaiming_uniform_`.

    >>> import clearprop as cp
    >>> weight = cp.nn.init.kaiming_normal_(cp.nn.Linear(200, 100).weight, nonlinearity="relu")  # √(2 / 200) = 0.1
    >>> 0.098 < cp.std(weight).item() < 0.102
    True
    """
    return normal_(cell, 0.0, _kaiming_std(cell, a, mode, nonlinearity), generator)


def trunc_normal_(
    cell: C, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Generator | None = None
) -> C:
    """Normally distributed, given that the value lies between a and b.

    Quantiles of uniform numbers: exact, one number for each element, none thrown away.

    Raises:
        UsageError: std is not positive, a is not below b, or what is between them is too unlikely for float64.

    >>> import clearprop as cp
    >>> weight = cp.nn.init.trunc_normal_(cp.Parameter(cp.zeros((1000, 10))), std=0.02, a=-0.04, b=0.04)
    >>> bool(cp.all(abs(weight) <= 0.04)), 0.017 < float(weight.numpy().std()) < 0.018
    (True, True)
    """
    mean, std = number("init.trunc_normal_", "mean", mean), number("init.trunc_normal_", "std", std)
    a, b = (number("init.trunc_normal_", name, one, infinite=True) for name, one in (("a", a), ("b", b)))
    if not std > 0.0 or not a < b:
        raise UsageError(f"trunc_normal_: std={std}, a={a}, b={b}", hint="a positive std, and a below b")
    low, high = (a - mean) / std, (b - mean) / std
    side = -1.0 if low > 0.0 else 1.0  # small probabilities are exact in the lower tail
    if low > 0.0:
        low, high = -high, -low
    least, most = _probability(low), _probability(high)
    if least == most:
        raise UsageError(
            f"trunc_normal_: nothing between a={a} and b={b} is likely for mean={mean}, std={std}",
            hint="a and b are values, not numbers of standard deviations",
        )
    u = random.uniform(_checked(cell).shape, dtype=np.float64, generator=generator).numpy()
    values = mean + side * std * normal_quantile_array(least + (most - least) * u)
    return _assigned(cell, np.clip(values, a, b))


def _probability(x: float) -> float:
    """That a normally distributed number is below x."""
    return math.erfc(-x / math.sqrt(2.0)) / 2.0


def orthogonal_(cell: C, gain: float = 1.0, generator: Generator | None = None) -> C:
    """A matrix with orthonormal rows or, if there are more rows than columns, columns; times gain. All equally likely.

    A weight with more axes, such as that of a convolution, counts as the matrix of its first axis by all others.

    Raises:
        ShapeError: for fewer than two axes.

    >>> import clearprop as cp
    >>> w = cp.nn.init.orthogonal_(cp.Parameter(cp.zeros((3, 5))))
    >>> bool(cp.all(abs(w @ w.mT - cp.eye(3)) < 1e-6))
    True
    """
    if _checked(cell).ndim < 2:
        raise _wrong_shape("orthogonal_", cell, "two axes or more")
    if cell.size == 0:
        return cell
    rows = cell.shape[0]
    columns = cell.size // rows
    tall = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(random.normal(tall, dtype=np.float64, generator=generator).numpy())
    q = q * np.where(np.diagonal(r) < 0.0, -1.0, 1.0)  # else the signs would depend on how QR is computed
    return _assigned(cell, gain * (q if rows >= columns else q.T).reshape(cell.shape))


def eye_(cell: C) -> C:
    """Ones on the diagonal, zeros elsewhere: a linear layer that passes on what it gets.

    Raises:
        ShapeError: for anything but two axes.

    >>> import clearprop as cp
    >>> cp.nn.init.eye_(cp.Parameter(cp.zeros((2, 3)))).value.tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    if _checked(cell).ndim != 2:
        raise _wrong_shape("eye_", cell, "two axes")
    return _assigned(cell, np.eye(*cell.shape))


def dirac_(cell: C, groups: int = 1) -> C:
    """The middle of the window passes on channel i to channel i, in each group: a convolution that changes nothing.

    Raises:
        ShapeError: for anything but three, four or five axes, or outputs that are no multiple of the groups.

    >>> import clearprop as cp
    >>> cp.nn.init.dirac_(cp.Parameter(cp.zeros((1, 1, 3)))).value.tolist()
    [[[0.0, 1.0, 0.0]]]
    """
    if _checked(cell).ndim not in (3, 4, 5):
        raise _wrong_shape("dirac_", cell, "the axes of a convolution: [out, in / groups, *window]")
    outputs, inputs, *window = cell.shape
    if not is_whole(groups) or groups < 1 or outputs % groups:
        raise _wrong_shape("dirac_", cell, f"a number of outputs that {groups} groups can share")
    values = np.zeros(cell.shape)
    middle = tuple(length // 2 for length in window)
    for first in range(0, outputs, outputs // groups):
        for i in range(min(outputs // groups, inputs)):
            values[(first + i, i, *middle)] = 1.0
    return _assigned(cell, values)


def sparse_(cell: C, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> C:
    """Normally distributed, but in each column this share of the elements, rounded up, is zero.

    A column of a linear layer's weight, [in, out], is what one output gets: so Martens (2010) meant it.

    Raises:
        ShapeError: for anything but two axes.
        UsageError: a share that is not from 0 to 1.

    >>> import clearprop as cp
    >>> weight = cp.nn.init.sparse_(cp.Parameter(cp.zeros((10, 3))), sparsity=0.8)
    >>> cp.count_nonzero(weight, axis=0).tolist()
    [2, 2, 2]
    """
    if _checked(cell).ndim != 2:
        raise _wrong_shape("sparse_", cell, "two axes")
    sparsity = number("init.sparse_", "sparsity", sparsity, 0.0, 1.0)
    keys = random.uniform(cell.shape, dtype=np.float64, generator=generator).numpy()
    order = np.argsort(np.argsort(keys, axis=0, kind="stable"), axis=0, kind="stable")
    values = random.normal(cell.shape, 0.0, std, dtype=np.float64, generator=generator).numpy()
    return _assigned(cell, np.where(order < math.ceil(sparsity * cell.shape[0]), 0.0, values))


def _checked(cell: C) -> C:
    given: Any = cell
    if not isinstance(given, Cell):
        hint = "cp.Parameter(value)" if isinstance(given, Tensor) else "one of its parameters: init.zeros_(layer.bias)"
        raise UsageError(f"init: a {type(cell).__name__} cannot be changed in place", hint=hint)
    return cell


def _both(cell: Cell) -> int:
    """The fans together; 1 for a weight without elements."""
    return sum(fans(cell)) or 1


def _assigned(cell: C, values: Tensor | np.ndarray[Any, Any]) -> C:
    cell.assign(values if isinstance(values, Tensor) else Tensor(np.asarray(values, cell.peek().array.dtype)))
    return cell


def _wrong_shape(name: str, cell: Cell, wanted: str) -> ShapeError:
    label = f"{type(cell).__name__} {cell.name}".rstrip()
    return ShapeError(
        f"init.{name}: {label} has shape {cell.shape}; it needs {wanted}", hint="init.zeros_ or init.normal_ take any"
    )


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights must be larger because a nonlinearity makes its input smaller.

    Args:
        nonlinearity: "linear", "conv1d" and the other linear layers, "sigmoid", "tanh", "relu", "leaky_relu" or "selu".
        param: the negative slope of leaky_relu, 0.01 by default.

    Raises:
        UsageError: for another name, or a slope that is no number.

    >>> from clearprop import nn
    >>> round(nn.init.calculate_gain("relu"), 4), round(nn.init.calculate_gain("leaky_relu", 1.0), 4)
    (1.4142, 1.0)
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        slope = number("calculate_gain", "param", slope)
        return math.sqrt(2.0 / (1.0 + slope**2))
    if nonlinearity not in _GAINS:
        raise UsageError(f"no gain is known for {nonlinearity!r}", hint=f"leaky_relu, {', '.join(_GAINS)}")
    return _GAINS[nonlinearity]


def fans(cell: Cell) -> tuple[int, int]:
    """How many inputs feed one output, and how many outputs one input feeds.

    Raises:
        ShapeError: for fewer than two axes, where there is no such thing.

    >>> import clearprop as cp
    >>> cp.nn.init.fans(cp.nn.Linear(784, 256).weight), cp.nn.init.fans(cp.Parameter(cp.zeros((64, 3, 5, 5))))
    ((784, 256), (75, 1600))
    """
    shape = _checked(cell).shape
    if len(shape) < 2:
        name = f"{type(cell).__name__} {cell.name}".rstrip()
        raise ShapeError(
            f"init: {name} of shape {shape} has no fan: that takes two axes", hint="init.zeros_ for biases"
        )
    if len(shape) == 2:
        return shape[0], shape[1]
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _kaiming_std(cell: Cell, a: float, mode: str, nonlinearity: str) -> float:
    one_of("kaiming", "mode", mode, "fan_in", "fan_out")
    fan: Any = fans(cell)[0 if mode == "fan_in" else 1]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0
