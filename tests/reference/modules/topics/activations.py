"""Activation functions at their corners and far away; functions of vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tests.reference.modules.cases import ModuleCase, numbers, of_function

SWEEP = np.array([-800.0, -50.0, -7.0, -6.0, -3.0, -2.0, -1.0, -0.5, -0.1, -1e-9, 0.0, 1e-9, 0.1, 0.5, 1.0, 2.0, 3.0])
SWEEP = np.concatenate([SWEEP, [6.0, 7.0, 50.0, 800.0]])
X = numbers(2, 4, 3, scale=4.0)
VECTORS = np.concatenate([numbers(3, 4), np.zeros((1, 4))])


def elementwise() -> list[ModuleCase]:
    """One number in, one number out."""
    arguments: list[tuple[str, dict[str, Any]]] = [
        *((name, {}) for name in ("Mish", "SELU", "LogSigmoid", "Softsign", "Tanhshrink", "ReLU6", "Hardswish")),
        *(("CELU", {"alpha": alpha}) for alpha in (1.0, 0.5, 2.0)),
        *(("Hardtanh", {"min_val": low, "max_val": high}) for low, high in ((-1.0, 1.0), (-3.0, 0.5))),
        *((name, {"lambd": lambd}) for name in ("Hardshrink", "Softshrink") for lambd in (0.5, 2.0)),
        *(("Threshold", {"threshold": threshold, "value": 20.0}) for threshold in (0.0, 0.5)),
    ]
    cases = [ModuleCase(name, given, (SWEEP,)) for name, given in arguments]
    return [*cases, ModuleCase("Hardsigmoid", inputs=(SWEEP,), torch_call=torchs_hardsigmoid)]


def torchs_hardsigmoid(_: Any, x: Any) -> Any:
    """Torch 2.13 multiplies the gradient of its own with 1/6 in single precision."""
    from torch.nn.functional import relu6

    return relu6(x + 3.0) / 6.0


def along_an_axis() -> list[ModuleCase]:
    """Gates, softmaxes, lengths and angles."""
    cases = [ModuleCase("GLU", {"dim": dim}, (x,)) for dim, x in ((-1, numbers(3, 4)), (1, X))]
    cases += [ModuleCase("Softmin", {"dim": dim}, (X,)) for dim in (0, -1)]
    cases += [ModuleCase("Softmax2d", inputs=(x,)) for x in (X, numbers(2, 3, 2, 2, scale=9.0))]
    cases.append(ModuleCase("CosineSimilarity", inputs=(VECTORS, numbers(4, 4, seed=3))))
    cases.append(ModuleCase("CosineSimilarity", {"dim": -1}, (X, numbers(3, seed=3))))
    for p in (2.0, 1.0, 3.0, 0.5, math.inf):
        cases.append(ModuleCase("PairwiseDistance", {"p": p}, (VECTORS, numbers(4, 4, seed=3))))
        cases.append(of_function("normalize", (VECTORS,), p=p, dim=1))
    cases.append(ModuleCase("PairwiseDistance", {"keepdim": True, "eps": 0.1}, (VECTORS, VECTORS)))
    cases.append(of_function("normalize", (X,), dim=0, eps=3.0))
    return cases


CASES = [*elementwise(), *along_an_axis()]
