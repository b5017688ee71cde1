"""Functions of images against PyTorch over random arguments, also those that do not fit; needs torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional
from clearprop.errors import ClearpropError
from clearprop.tensor import Tensor

torch = pytest.importorskip("torch", reason="torch is not installed: the recorded figures have to do")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]

REFUSED = (RuntimeError, ValueError, AssertionError)
"""What PyTorch raises for arguments that do not fit."""


class Draw:
    """Random arguments."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def one(self, *values: Any) -> Any:
        return values[int(self.random.integers(len(values)))]

    def whole(self, low: int, high: int) -> int:
        return int(self.random.integers(low, high + 1))

    def lengths(self, axes: int, low: int, high: int) -> tuple[int, ...]:
        return tuple(self.whole(low, high) for _ in range(axes))

    def image(self, *lead: int, axes: int) -> Any:
        x = self.random.standard_normal((*lead, *self.lengths(axes, 1, 5 if axes == 3 else 9)))
        return np.round(x) if self.random.random() < 0.3 else x  # some have equal elements


def compare(name: str, arrays: list[Any], *args: Any, **arguments: Any) -> bool:
    """Value and gradients of one call; False if PyTorch refuses it, and then clearprop must, too."""
    theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
    ours = [cp.tensor(x, requires_grad=True) for x in arrays]
    note = f"{name} {[x.shape for x in arrays]} {args} {arguments}"
    try:
        expected = getattr(torch.nn.functional, name)(*theirs, *args, **arguments)
    except REFUSED:
        expected = torch.zeros(0)
    if isinstance(expected, torch.Tensor) and not expected.numel():
        with pytest.raises(ClearpropError):
            getattr(functional, name)(*ours, *args, **arguments)
        return False
    found = getattr(functional, name)(*ours, *args, **arguments)
    if isinstance(found, tuple):
        np.testing.assert_array_equal(found[1].numpy(), expected[1].numpy(), note)
        found, expected = found[0], expected[0]
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-11, err_msg=note)
    upstream = np.cos(np.arange(float(expected.numel()))).reshape(expected.shape)
    expected.backward(torch.tensor(upstream))
    found.backward(Tensor(upstream))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), rtol=1e-9, atol=1e-11, err_msg=note)
    return True


def convolution(draw: Draw) -> bool:
    axes, groups = draw.one(1, 2, 2, 3), draw.one(1, 1, 2, 3)
    inside, outputs = draw.one(1, 2, 3, 8), draw.one(1, 2, 3)
    x = draw.image(*draw.one((), (1,), (3,)), groups * inside, axes=axes)
    weight = draw.random.standard_normal((groups * outputs, inside, *draw.lengths(axes, 1, 4 - axes // 3)))
    bias = [draw.random.standard_normal(groups * outputs)] if draw.one(True, False) else []
    padding = draw.one(0, 1, 2, "same", "valid")
    settings = {"stride": draw.one(1, 1, 2, 3), "padding": padding, "dilation": draw.one(1, 1, 2, 3)}
    return compare(f"conv{axes}d", [x, weight, *bias], groups=groups, **settings)


def transposed(draw: Draw) -> bool:
    axes, groups = draw.one(1, 2, 2, 3), draw.one(1, 1, 2, 3)
    inside, outputs = draw.one(1, 2, 3), draw.one(1, 2, 8)
    x = draw.image(*draw.one((), (1,), (3,)), groups * inside, axes=axes)
    weight = draw.random.standard_normal((groups * inside, outputs, *draw.lengths(axes, 1, 4 - axes // 3)))
    settings = {
        "stride": draw.one(1, 1, 2, 3),
        "padding": draw.whole(0, 3),
        "output_padding": draw.one(0, 0, 1, 2),
        "dilation": draw.one(1, 1, 2, 3),
    }
    return compare(f"conv_transpose{axes}d", [x, weight], groups=groups, **settings)


def max_pool(draw: Draw) -> bool:
    axes = draw.one(1, 2, 2, 3)
    x = draw.image(*draw.one((2,), (3, 2)), axes=axes)
    window = draw.one(draw.whole(1, 4), draw.lengths(axes, 1, 4))
    smallest = window if isinstance(window, int) else min(window)
    arguments = {"padding": draw.whole(0, smallest // 2), "ceil_mode": draw.one(True, False), "return_indices": True}
    return compare(f"max_pool{axes}d", [x], window, draw.one(None, 1, 2, 3), **arguments)


def avg_pool(draw: Draw) -> bool:
    axes = draw.one(1, 2, 2)
    x = draw.image(*draw.one((2,), (3, 2)), axes=axes)
    arguments = {
        "padding": draw.whole(0, 2),
        "ceil_mode": draw.one(True, False),
        "count_include_pad": draw.one(True, False),
        **({"divisor_override": draw.one(None, 1, 3, -2)} if axes == 2 else {}),
    }
    return compare(f"avg_pool{axes}d", [x], draw.whole(1, 4), draw.one(None, 1, 2, 3), **arguments)


def adaptive(draw: Draw) -> bool:
    axes = draw.one(1, 2, 2, 3)
    x = draw.image(*draw.one((2,), (3, 2)), axes=axes)
    each = tuple(draw.one(None, 1, 2, 3, 5, 7) for _ in range(axes))
    places = draw.one(draw.whole(1, 6), each) if axes > 1 else draw.whole(1, 6)
    if draw.one(True, False):
        return compare(f"adaptive_max_pool{axes}d", [x], places, return_indices=True)
    return compare(f"adaptive_avg_pool{axes}d", [x], places)


def surrounded(draw: Draw) -> bool:
    axes = draw.one(1, 2, 2, 3)
    mode = draw.one("constant", "reflect", "replicate", "circular")
    widths = list(draw.lengths(2 * axes, 0, 3))
    return compare("pad", [draw.image(3, 2, axes=axes)], widths, mode, **({"value": 2.5} if mode == "constant" else {}))


def resampled(draw: Draw) -> bool:
    axes = draw.one(1, 2, 2, 3)
    smooth = {1: "linear", 2: draw.one("bilinear", "bicubic"), 3: "trilinear"}[axes]
    mode = draw.one("nearest", "nearest-exact", "area", smooth)
    arguments = {"align_corners": draw.one(None, False, True)} if mode == smooth else {}
    size = draw.one(draw.whole(1, 12), draw.lengths(axes, 1, 12))
    by = draw.one({"size": size}, {"scale_factor": draw.one(2, 3, 0.5, 1.5, 1.7, 0.7)})
    return compare("interpolate", [draw.image(2, 2, axes=axes)], mode=mode, **by, **arguments)


def columns(draw: Draw) -> bool:
    x = draw.image(*draw.one((3,), (2, 3)), axes=2)
    window = draw.lengths(2, 1, 3)
    settings = {"dilation": draw.one(1, 2), "padding": draw.one(0, 1), "stride": draw.one(1, 2)}
    if not compare("unfold", [x], window, **settings):
        return False
    rows = functional.unfold(x, window, **settings).numpy()
    return compare("fold", [np.cos(rows)], x.shape[-2:], window, **settings)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "compared", [convolution, transposed, max_pool, avg_pool, adaptive, surrounded, resampled, columns]
)
def test_random_calls(compared: Any, seed: int) -> None:
    draw = Draw(seed)
    assert sum(compared(draw) for _ in range(40)) >= 10
