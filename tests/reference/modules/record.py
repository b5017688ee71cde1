"""Records what PyTorch computes for all cases of modules, in float64.

    python -m tests.reference.modules.record [TOPIC …]      (needs torch; the recorded figures are of torch 2.13.0, CPU)

Each topic has a file of its own under ``figures``: a JSON line for each case, with its outputs, the gradients of its
inputs and parameters (in PyTorch's layout), and its buffers afterwards.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.reference.modules.cases import Constant, ModuleCase, growth, parameter, upstream
from tests.reference.modules.topics import TOPICS

FIGURES = Path(__file__).parent / "figures"


def to_torch(value: Any) -> Any:
    """An array as a tensor, anything else as it is."""
    value = value.array if isinstance(value, Constant) else value
    return torch.tensor(value) if isinstance(value, np.ndarray) else value


def as_input(value: Any) -> Any:
    """The same, a floating-point array as a leaf."""
    wants_gradient = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return to_torch(value).requires_grad_() if wants_gradient else to_torch(value)


def flat(output: Any) -> list[torch.Tensor]:
    """All tensors of a nested output, in order."""
    if isinstance(output, (tuple, list)):
        return [tensor for part in output for tensor in flat(part)]
    return [] if output is None else [output]


def run(case: ModuleCase) -> dict[str, Any]:
    """What PyTorch computes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "reduction: 'mean' divides", UserWarning)  # of KLDivLoss, every time
        return _run(case)


def _run(case: ModuleCase) -> dict[str, Any]:
    torch.set_default_dtype(torch.float64)
    arguments = {key: to_torch(value) for key, value in case.arguments.items()}
    module = case.make(torch.nn) if case.make else getattr(torch.nn, case.name)(**arguments)
    with torch.no_grad():
        for position, (_, tensor) in enumerate(sorted(module.named_parameters())):
            tensor.copy_(torch.tensor(parameter(tuple(tensor.shape), position)))
    module.train(case.training)
    inputs = [as_input(value) for value in case.inputs]
    options = {key: to_torch(value) for key, value in case.options.items()}
    outputs: list[torch.Tensor] = []
    for step in range(case.steps):
        scaled = [x * growth(step) if isinstance(x, torch.Tensor) and x.requires_grad else x for x in inputs]
        result = case.torch_call(module, *scaled, **options) if case.torch_call else module(*scaled, **options)
        outputs = flat(result)
        tracked = [(i, tensor) for i, tensor in enumerate(outputs) if tensor.requires_grad]
        torch.autograd.backward(
            [tensor for _, tensor in tracked], [torch.tensor(upstream(tuple(t.shape), i)) for i, t in tracked]
        )
    return {
        "outputs": [figures(tensor) for tensor in outputs],
        "inputs": [figures(x.grad) for x in inputs if isinstance(x, torch.Tensor) and x.grad is not None],
        "parameters": {name: figures(p.grad) for name, p in module.named_parameters() if p.grad is not None},
        "buffers": {name: figures(tensor) for name, tensor in module.named_buffers()},
    }


def figures(tensor: torch.Tensor) -> Any:
    """Nested lists, numbers with 13 digits."""
    return _rounded(tensor.detach().tolist())


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.13g}") if isinstance(value, float) else value


def main(topics: list[str]) -> None:
    """Write the files of these topics, or of all."""
    FIGURES.mkdir(exist_ok=True)
    for topic in topics or TOPICS:
        lines = [json.dumps({"case": case.label(), **run(case)}) for case in TOPICS[topic]]
        (FIGURES / f"{topic}.jsonl").write_text("\n".join(lines) + "\n")
        sys.stderr.write(f"{topic}: {len(lines)} cases\n")


if __name__ == "__main__":
    main(sys.argv[1:])
