"""Values and gradients of all activations and losses against PyTorch's recorded figures, in float64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reference.modules.topics import TOPICS

import clearprop as cp
from clearprop import functional

FIGURES = json.loads((Path(__file__).parents[1] / "reference" / "torch_figures.json").read_text())
CASES = [*FIGURES["activations"], *FIGURES["losses"]]
OWN_NAMES = {"weights": "weight"}  # of a loss; "weight" alone is prelu's, which has a gradient


def label(case: dict[str, Any]) -> str:
    return "-".join([case["name"], *(f"{key}={value}" for key, value in case["arguments"].items())])


@pytest.mark.parametrize("case", CASES, ids=label)
def test_value_and_gradients_equal_torchs(case: dict[str, Any]) -> None:
    inputs = {}
    for key, value in case["inputs"].items():
        array = np.array(value)
        inputs[OWN_NAMES.get(key, key)] = cp.tensor(array, requires_grad=key in case["gradients"])
    first, second = [*inputs.values(), None][:2]
    others = dict(list(inputs.items())[2:])
    args = (first,) if second is None else (first, second)
    output = getattr(functional, case["name"])(*args, **others, **case["arguments"])
    assert output.dtype == cp.float64
    np.testing.assert_allclose(output.numpy(), case["output"], rtol=1e-12, atol=1e-15)
    output.backward(cp.tensor(np.array(case["upstream"])))
    for key, gradient in case["gradients"].items():
        np.testing.assert_allclose(inputs[key].grad.numpy(), gradient, rtol=1e-11, atol=1e-14, err_msg=key)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_float32_stays_float32(case: dict[str, Any]) -> None:
    arrays = [np.array(value) for value in case["inputs"].values()]
    x, *rest = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    leaf = cp.tensor(x, requires_grad=True)
    keys = [OWN_NAMES.get(key, key) for key in list(case["inputs"])[2:]]
    output = getattr(functional, case["name"])(
        leaf, *rest[:1], **dict(zip(keys, rest[1:], strict=True)), **case["arguments"]
    )
    assert output.dtype == cp.float32
    np.testing.assert_allclose(output.numpy(), case["output"], rtol=2e-5, atol=1e-5)
    output.backward(cp.tensor(np.array(case["upstream"], np.float32)))
    assert leaf.grad.dtype == cp.float32
    np.testing.assert_allclose(leaf.grad.numpy(), case["gradients"]["x"], rtol=1e-4, atol=1e-5)


OTHERWISE = {
    "alpha_dropout": "random",
    "convolve": "not in PyTorch",
    "cross_correlate": "not in PyTorch",
    "dropout": "random",
    "dropout1d": "random",
    "dropout2d": "random",
    "dropout3d": "random",
    "info_nce_loss": "not in PyTorch",
    "maxout": "not in PyTorch",
    "rotary": "not in PyTorch",
    "sinusoidal_positions": "not in PyTorch",
}
OTHER_NAMES = {"binary_cross_entropy": "BCELoss", "scaled_dot_product_attention": "attend"}  # of their cases


def test_every_function_is_compared() -> None:
    """Here, or as a module in `tests.reference.modules`."""
    modules = {plain(case.name) for cases in TOPICS.values() for case in cases}
    compared = {case["name"] for case in CASES} | OTHERWISE.keys()
    for name in set(functional.__all__) - compared:
        module = plain(OTHER_NAMES.get(name, name))
        assert any(module + ending in modules for ending in ("", "1d", "2d", "3d", "loss")), name


def plain(name: str) -> str:
    return name.lower().replace("_", "")
