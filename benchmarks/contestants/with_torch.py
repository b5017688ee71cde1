"""PyTorch: eager, eager with channels last, or with its compiler, which needs g++."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from contestants.modules import check_names, fed, training_step
from workloads.base import Workload

torch.set_num_threads(len(os.sched_getaffinity(0)))


def make_step(workload: Workload, variant: str) -> Callable[[], Any]:
    """One step of training, and the loss before it."""
    training = workload.training
    network = workload.network(torch)
    check_names(workload, network)
    network.load_state_dict({name: torch.from_numpy(w) for name, w in workload.weights().items()}, strict=False)
    layout = torch.channels_last if variant == "channels-last" else torch.contiguous_format
    network.to(memory_format=layout)
    # fused is not the default on the CPU, and is faster there in every workload
    optimizer = getattr(torch.optim, training.optimizer)(network.parameters(), fused=True, **training.settings)
    loss_of: Callable[..., Any] = partial(workload.module_loss, torch, network)
    if variant == "compile":
        loss_of = torch.compile(loss_of)

    def convert(array: Any) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        return tensor.contiguous(memory_format=layout) if tensor.ndim == 4 else tensor

    return fed(workload, training_step(torch, workload, network, optimizer, loss_of), convert)
