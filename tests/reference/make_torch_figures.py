"""Writes torch_figures.json: what PyTorch computes, in float64, for the tests of functional.

    python tests/reference/make_torch_figures.py        (needs torch; the recorded figures are of torch 2.13.0, CPU)

The file is committed, so that the tests need no torch. Each case holds all that is needed to repeat it: the name of the
function, its arguments, inputs, upstream gradient, and then PyTorch's output and gradients. Where torch is installed, a
test runs this script's `figures` again and compares them with the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

FILE = Path(__file__).with_name("torch_figures.json")
Case = dict[str, Any]


def figures() -> dict[str, Any]:
    """All cases, by what they are for."""
    torch.set_default_dtype(torch.float64)
    return {
        "activations": list(activations()),
        "losses": list(losses()),
    }


def numbers(value: torch.Tensor) -> Any:
    return value.detach().tolist()


def case(name: str, function: Callable[..., torch.Tensor], inputs: dict[str, Any], **arguments: Any) -> Case:
    """Output and gradients of a function of named inputs; those named x and weight get gradients."""
    tensors = {key: torch.tensor(value, requires_grad=key in ("x", "weight")) for key, value in inputs.items()}
    output = function(*tensors.values(), **arguments)
    upstream = torch.cos(torch.arange(output.numel(), dtype=torch.float64) + 1.0).reshape(output.shape)
    output.backward(upstream)
    gradients = {key: numbers(tensor.grad) for key, tensor in tensors.items() if tensor.grad is not None}
    return {
        "name": name,
        "arguments": arguments,
        "inputs": inputs,
        "upstream": numbers(upstream),
        "output": numbers(output),
        "gradients": gradients,
    }


SWEEP = [
    [-800.0, -50.0, -20.5, -5.0, -3.0, -2.0, -1.5, -1.0, -0.5, -0.1, -1e-3, -1e-12],
    [0.0, 1e-12, 1e-3, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 20.5, 800.0],
]


def activations() -> Iterator[Case]:
    x = {"x": SWEEP}
    yield case("sigmoid", torch.sigmoid, x)
    yield case("tanh", torch.tanh, x)
    yield case("relu", functional.relu, x)
    yield case("silu", functional.silu, x)
    for slope in (0.01, 0.2, 1.5):
        yield case("leaky_relu", functional.leaky_relu, x, negative_slope=slope)
    for alpha in (1.0, 0.3):
        yield case("elu", functional.elu, x, alpha=alpha)
    for approximate in ("none", "tanh"):
        yield case("gelu", functional.gelu, x, approximate=approximate)
    for beta, threshold in ((1.0, 20.0), (0.5, 20.0), (3.0, 4.0)):
        yield case("softplus", functional.softplus, x, beta=beta, threshold=threshold)
    yield case("prelu", functional.prelu, {**x, "weight": [0.25]})
    yield case(
        "prelu", functional.prelu, {"x": np.sin(np.arange(24.0)).reshape(2, 3, 4).tolist(), "weight": [0.25, -0.5, 2.0]}
    )
    rows = (10.0 * np.sin(np.arange(24.0))).reshape(2, 3, 4)
    rows[0, 0] = [1000.0, 999.0, -1000.0, 0.0]
    for dim in (-1, 0, 1):
        yield case("softmax", functional.softmax, {"x": rows.tolist()}, dim=dim)
        yield case("log_softmax", functional.log_softmax, {"x": rows.tolist()}, dim=dim)


LOGITS = (3.0 * np.sin(np.arange(20.0) * 1.7)).reshape(5, 4)
CLASS_WEIGHTS = [0.2, 1.0, 3.0, 0.5]


def losses() -> Iterator[Case]:
    logits, labels = LOGITS.tolist(), [0, 3, 1, 1, 2]
    shares = np.exp(np.cos(np.arange(20.0))).reshape(5, 4)
    shares = (shares / shares.sum(1, keepdims=True)).tolist()
    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.1):
            for weighted in (False, True):
                yield from _cross_entropies(logits, labels, shares, reduction, smoothing, weighted)
    deep = np.sin(np.arange(24.0) * 1.3).reshape(2, 4, 3).tolist()
    for reduction in ("mean", "none"):
        yield cross_entropy({"x": deep, "target": [[0, 1, 3], [2, 2, 0]]}, reduction=reduction)
    yield cross_entropy({"x": deep, "target": np.full((2, 4, 3), 0.25).tolist()})
    yield cross_entropy({"x": logits[0], "target": 2})
    yield cross_entropy({"x": logits, "target": [0, 3, -100, 1, -100]})
    yield cross_entropy({"x": logits, "target": labels}, ignore_index=1)
    yield cross_entropy({"x": logits, "target": labels}, ignore_index=1, label_smoothing=0.2, reduction="none")
    for reduction in ("mean", "sum", "none"):
        logs = functional.log_softmax(torch.tensor(logits), 1).tolist()
        yield case("nll_loss", functional.nll_loss, {"x": logs, "target": labels}, reduction=reduction, ignore_index=3)
        yield case("mse_loss", functional.mse_loss, {"x": logits, "target": shares}, reduction=reduction)
        yield case(
            "binary_cross_entropy_with_logits",
            functional.binary_cross_entropy_with_logits,
            {"x": logits, "target": shares},
            reduction=reduction,
        )
    extreme = {"x": [-800.0, -40.0, 0.0, 40.0, 800.0], "target": [0.0, 1.0, 1.0, 0.0, 1.0]}
    yield case("binary_cross_entropy_with_logits", functional.binary_cross_entropy_with_logits, extreme)
    inputs = {"x": logits, "target": shares, "weights": [1.0, 2.0, 0.5, 0.1], "pos_weight": CLASS_WEIGHTS}
    yield case("binary_cross_entropy_with_logits", _weighted_bce, inputs)


def _weighted_bce(x: Any, target: Any, weights: Any, pos_weight: Any) -> torch.Tensor:
    return functional.binary_cross_entropy_with_logits(x, target, weight=weights, pos_weight=pos_weight)


def _cross_entropies(
    logits: Any, labels: Any, shares: Any, reduction: str, smoothing: float, weighted: bool
) -> Iterator[Case]:
    weights = {"weights": CLASS_WEIGHTS} if weighted else {}
    for target in (labels, shares):
        inputs = {"x": logits, "target": target, **weights}
        yield cross_entropy(inputs, reduction=reduction, label_smoothing=smoothing)


def cross_entropy(inputs: dict[str, Any], **arguments: Any) -> Case:
    def loss(x: Any, target: Any, weights: Any = None, **others: Any) -> torch.Tensor:
        return functional.cross_entropy(x, target, weights, **others)

    return case("cross_entropy", loss, inputs, **arguments)


def text(found: dict[str, Any]) -> str:
    """As JSON, one case per line."""
    parts = [f'"{name}": [\n' + ",\n".join(json.dumps(one) for one in cases) + "\n]" for name, cases in found.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text(figures()))
