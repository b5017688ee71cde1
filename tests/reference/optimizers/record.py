"""Records what PyTorch's optimizers and schedules do, in float64.

    python -m tests.reference.optimizers.record      (needs torch; the recorded figures are of torch 2.13.0, CPU)

The figures stand in ``figures``: a JSON line for each case.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.reference.optimizers import cases
from tests.reference.optimizers.cases import Schedule, Trajectory

FIGURES = Path(__file__).parent / "figures"


def trajectory(case: Trajectory) -> dict[str, Any]:
    """W and b after every tenth step."""
    weight, bias = (torch.tensor(cases.START[name], requires_grad=True) for name in ("weight", "bias"))
    run = cases.Run(torch.optim, case, weight, bias)
    points = []
    for step in range(cases.STEPS):
        x, y = (torch.tensor(array) for array in cases.batch(step))
        run.step(step, ((torch.tanh(x @ weight + bias) - y) ** 2).mean())
        if step in case.points():
            points.append({"weight": weight.tolist(), "bias": bias.tolist()})
    return {"points": points}


def schedule(case: Schedule) -> dict[str, Any]:
    """Learning rates and momenta."""
    return cases.follow(torch.optim, case, [torch.zeros(1, requires_grad=True) for _ in case.rates])


def clipping() -> list[dict[str, Any]]:
    """Gradients before and after `clip_grad_norm_`."""
    gradients = [np.sin(np.arange(6.0)).reshape(2, 3).tolist(), [4.0, -3.0]]
    found = []
    for norm_type in (2.0, 1.0, 3.0, 0.5, "inf"):
        for max_norm in (1.5, 100.0):
            parameters = [torch.zeros_like(torch.tensor(g)).requires_grad_() for g in gradients]
            for parameter, g in zip(parameters, gradients, strict=True):
                parameter.grad = torch.tensor(g)
            norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm, float(norm_type))
            clipped = [p.grad.tolist() for p in parameters if p.grad is not None]
            case = {"case": f"{norm_type}-{max_norm}", "gradients": gradients, "norm_type": norm_type}
            found.append({**case, "max_norm": max_norm, "norm": norm.item(), "clipped": clipped})
    return found


TOPICS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "trajectories": lambda: [{"case": case.label(), **trajectory(case)} for case in cases.trajectories()],
    "schedules": lambda: [{"case": case.label(), **schedule(case)} for case in cases.schedules()],
    "clipping": clipping,
}


def figures(topic: str) -> list[dict[str, Any]]:
    """What PyTorch computes for all cases of a topic."""
    torch.set_default_dtype(torch.float64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")  # made by nested schedules
        return TOPICS[topic]()


if __name__ == "__main__":
    FIGURES.mkdir(exist_ok=True)
    for topic in TOPICS:
        lines = [json.dumps(one) for one in figures(topic)]
        (FIGURES / f"{topic}.jsonl").write_text("\n".join(lines) + "\n")
        sys.stderr.write(f"{topic}: {len(lines)} cases\n")
