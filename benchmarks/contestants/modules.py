"""What PyTorch and clearprop have in common: modules, ``backward()``, optimizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workloads.base import Workload

Step = Callable[..., Any]


def training_step(lib: Any, workload: Workload, network: Any, optimizer: Any, loss_of: Step) -> Step:
    """A function that takes a batch, trains, and returns the loss."""
    clip = workload.training.clip

    def step(*batch: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(*batch)
        loss.backward()
        if clip is not None:
            lib.nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        return loss.detach()

    return step


def fed(workload: Workload, step: Step, convert: Callable[[Any], Any]) -> Callable[[], Any]:
    """The step with its data: converted once where it is always the same, else in every step."""
    following = workload.batches()
    if workload.streams:
        return lambda: step(*map(convert, following()))
    batch = tuple(map(convert, following()))
    return lambda: step(*batch)


def check_names(workload: Workload, network: Any) -> None:
    """All weights of the network must have been loaded, and no others."""
    names = {name for name, _ in network.named_parameters()}
    if names != set(workload.weights()):
        raise ValueError(f"{workload.name}: weights differ in {sorted(names ^ set(workload.weights()))}")
