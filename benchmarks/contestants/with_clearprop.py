"""clearprop, eager or compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import clearprop as cp
from contestants.modules import check_names, fed, training_step
from workloads.base import Workload

_MANY_WEIGHTS = 1_000_000
"""Of so many, an optimizer that is not part of a compiled step is faster fused."""


def make_step(workload: Workload, variant: str) -> Callable[[], Any]:
    """One step of training, and the loss before it."""
    training = workload.training
    network = workload.network(cp)
    check_names(workload, network)
    network.load_state_dict(workload.weights(), strict=False, layout="torch")
    fused = variant != "compile" and sum(p.size for p in network.parameters()) > _MANY_WEIGHTS
    optimizer = getattr(cp.optim, training.optimizer)(network.parameters(), **training.settings, fused=fused)
    step = training_step(cp, workload, network, optimizer, partial(workload.module_loss, cp, network))
    if variant == "compile":
        step = cp.compile(step, executor="native")
    return fed(workload, step, cp.asarray)
