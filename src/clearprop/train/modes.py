"""Training mode and evaluation mode of the modules of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clearprop.autodiff import no_grad
from clearprop.nn import Module


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Inside, the network is in evaluation mode and nothing is recorded; then every module gets its mode back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
