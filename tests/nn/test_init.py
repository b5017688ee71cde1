"""First values: their distributions, and what cannot be initialized. The oldest ones are in `test_layers.py`."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.errors import ShapeError, UsageError

NORMAL = NormalDist()


def drawn(initializer: Any, *shape: int, dtype: Any = np.float64, **arguments: Any) -> np.ndarray[Any, Any]:
    p = cp.Parameter(np.zeros(shape, dtype))
    assert initializer(p, generator=cp.random.Generator(3), **arguments) is p
    assert p.dtype.dtype == dtype
    return p.numpy()


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, -2.0, 2.0),
        (0.0, 0.02, -2.0, 2.0),  # bounds are values: here a hundred standard deviations
        (0.5, 2.0, 0.0, 1.0),
        (0.0, 1.0, -0.5, 3.0),
        (0.0, 1.0, 3.0, 4.0),
        (0.0, 1.0, -12.0, -10.0),
        (0.0, 1.0, 20.0, math.inf),
        (-1.0, 1.0, -math.inf, -1.5),
    ],
)
def test_truncated_normal_numbers_have_the_right_distribution(mean: float, std: float, a: float, b: float) -> None:
    values = drawn(nn.init.trunc_normal_, 200, 100, mean=mean, std=std, a=a, b=b).reshape(-1)
    assert a <= values.min()
    assert values.max() <= b
    assert len(np.unique(values)) > 0.999 * values.size  # none stands at a bound
    # What they are transformed by their distribution function must be uniform: largest deviation, at level 1e-4.
    low, high = (a - mean) / std, (b - mean) / std
    side = -1.0 if low > 0.0 else 1.0
    low, high = min(side * low, side * high), max(side * low, side * high)
    below = np.array([tail(side * (x - mean) / std) for x in values])
    uniform = np.sort((below - tail(low)) / (tail(high) - tail(low)))
    steps = np.arange(values.size) / values.size
    assert np.max(np.abs(uniform - steps)) < 2.23 / math.sqrt(values.size)


def tail(x: float) -> float:
    return math.erfc(-x / math.sqrt(2.0)) / 2.0


def test_truncated_normal_numbers_have_the_right_moments() -> None:
    values = drawn(nn.init.trunc_normal_, 400, 250)
    variance = 1.0 - 2.0 * 2.0 * NORMAL.pdf(2.0) / (NORMAL.cdf(2.0) - NORMAL.cdf(-2.0))
    assert abs(values.mean()) < 0.01
    assert abs(values.var() / variance - 1.0) < 0.01
    assert abs((values**3).mean()) < 0.02


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_truncated_normal_numbers_of_small_types_stay_within_their_bounds(dtype: Any) -> None:
    values = drawn(nn.init.trunc_normal_, 1000, dtype=dtype, std=10.0, a=-0.1, b=0.3)
    assert dtype(-0.1) <= values.min()
    assert values.max() <= dtype(0.3)
    assert values.std() > 0.1


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (8, 3, 3, 3), (40, 2, 3), (1, 4), (2, 1)])
@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_orthogonal_matrices(shape: tuple[int, ...], gain: float) -> None:
    q = drawn(nn.init.orthogonal_, *shape, gain=gain).reshape(shape[0], -1) / gain
    product = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    np.testing.assert_allclose(product, np.eye(len(product)), atol=1e-14)


def test_all_orthogonal_matrices_are_equally_likely() -> None:
    generator, p = cp.random.Generator(0), cp.Parameter(np.zeros((3, 3)))
    found = np.array([nn.init.orthogonal_(p, generator=generator).numpy().copy() for _ in range(2000)])
    assert np.max(np.abs(found.mean(axis=0))) < 0.05  # 0 for every element
    np.testing.assert_allclose((found**2).mean(axis=0), 1.0 / 3.0, atol=0.03)
    assert 0.45 < (np.linalg.det(found) > 0.0).mean() < 0.55


def test_orthogonal_matrices_of_float32_and_of_no_elements() -> None:
    q = drawn(nn.init.orthogonal_, 20, 30, dtype=np.float32)
    np.testing.assert_allclose(q @ q.T, np.eye(20), atol=1e-6)
    assert drawn(nn.init.orthogonal_, 0, 3).shape == (0, 3)


def test_eye_passes_on_and_dirac_too() -> None:
    assert nn.init.eye_(cp.Parameter(np.full((2, 3), 7.0))).value.tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    weight = nn.init.dirac_(cp.Parameter(np.full((6, 2, 3, 4), 7.0)), groups=2).numpy()
    ones = {(0, 0, 1, 2), (1, 1, 1, 2), (3, 0, 1, 2), (4, 1, 1, 2)}
    assert {tuple(map(int, place)) for place in np.argwhere(weight)} == ones
    assert weight.sum() == 4.0
    assert nn.init.dirac_(cp.Parameter(np.zeros((1, 2, 3)))).value.tolist() == [[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]
    assert nn.init.dirac_(cp.Parameter(np.zeros((2, 2, 1, 1, 2)))).numpy()[:, :, 0, 0, 1].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("sparsity", [0.0, 0.33, 0.5, 1.0])
def test_sparse_columns(sparsity: float) -> None:
    values = drawn(nn.init.sparse_, 200, 150, sparsity=sparsity, std=0.3)
    assert ((values == 0.0).sum(axis=0) == math.ceil(sparsity * 200)).all()
    if sparsity < 1.0:
        assert abs(values[values != 0.0].std() / 0.3 - 1.0) < 0.02
        per_row = (values == 0.0).mean(axis=1)
        assert np.max(np.abs(per_row - per_row.mean())) < 0.2  # anywhere in the column
    assert ((values == 0.0).argmin(axis=0).max() > 0) == (0.0 < sparsity < 1.0)


def test_gains() -> None:
    for name in ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"):
        assert nn.init.calculate_gain(name) == 1.0  # type: ignore[arg-type]
    assert nn.init.calculate_gain("sigmoid") == 1.0
    assert nn.init.calculate_gain("tanh") == 5.0 / 3.0
    assert nn.init.calculate_gain("relu") == math.sqrt(2.0)
    assert nn.init.calculate_gain("selu") == 0.75
    assert nn.init.calculate_gain("leaky_relu") == math.sqrt(2.0 / 1.0001)
    assert nn.init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2.0 / 1.04)


def test_gains_are_torchs() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for name in ("linear", "conv_transpose3d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
        for slope in (None, 0.3, 2):
            assert nn.init.calculate_gain(name, slope) == pytest.approx(
                torch.nn.init.calculate_gain(name, slope), 1e-14
            )


def test_dirac_is_torchs() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    for shape, groups in (((4, 2, 3), 2), ((6, 3, 2, 5), 3), ((2, 4, 3, 3, 2), 1)):
        expected = torch.nn.init.dirac_(torch.zeros(shape), groups).numpy()
        np.testing.assert_array_equal(nn.init.dirac_(cp.Parameter(np.zeros(shape)), groups).numpy(), expected)


def parameter(*shape: int) -> cp.Parameter:
    return cp.Parameter(np.zeros(shape), name="w")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.init.orthogonal_(parameter(3)), ShapeError, r"init.orthogonal_: Parameter w has shape \(3,\)"),
        (lambda: nn.init.eye_(parameter(3, 3, 3)), ShapeError, r"init.eye_: Parameter w has shape \(3, 3, 3\)"),
        (lambda: nn.init.dirac_(parameter(3, 3)), ShapeError, "it needs the axes of a convolution"),
        (
            lambda: nn.init.dirac_(parameter(3, 3, 3), groups=2),
            ShapeError,
            "a number of outputs that 2 groups can share",
        ),
        (lambda: nn.init.dirac_(parameter(3, 3, 3), groups=0), ShapeError, "that 0 groups can share"),
        (lambda: nn.init.sparse_(parameter(3), 0.5), ShapeError, "it needs two axes"),
        (lambda: nn.init.sparse_(parameter(3, 3), 1.5), UsageError, "sparsity=1.5"),
        (lambda: nn.init.trunc_normal_(parameter(3), std=0.0), UsageError, "std=0.0"),
        (lambda: nn.init.trunc_normal_(parameter(3), a=2.0, b=2.0), UsageError, r"a=2\.0, b=2\.0"),
        (lambda: nn.init.trunc_normal_(parameter(3), a=math.nan), UsageError, "a=nan"),
        (
            lambda: nn.init.trunc_normal_(parameter(3), a=90.0, b=91.0),
            UsageError,
            r"nothing between a=90\.0 and b=91\.0",
        ),
        (lambda: nn.init.orthogonal_(cp.ones((2, 2))), UsageError, "a Tensor cannot be changed in place"),
        (lambda: nn.init.zeros_(cp.ones((2, 2))), UsageError, r"Try: cp.Parameter\(value\)"),
        (lambda: nn.init.calculate_gain("leaky_relu", "steep"), UsageError, "param='steep'"),
        (lambda: nn.init.calculate_gain("leaky_relu", True), UsageError, "param=True"),
    ],
)
def test_what_cannot_be_initialized(call: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
