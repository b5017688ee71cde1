"""What a case of a module is: how to make it and how to call it, the same here and in PyTorch.

A case is data: the name of the class in ``nn``, its arguments, its inputs. Parameters and inputs follow from formulas,
so that only what PyTorch computes needs recording. Arrays among arguments and inputs become tensors of either side;
those of floating point that are inputs get gradients, unless they are `Constant`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True)
class Constant:
    """An input of floating point that needs no gradient, such as a mask or a target."""

    array: Array


@dataclass(frozen=True)
class ModuleCase:
    """One module.

    Attributes:
        name: of the class, the same in both ``nn``; with ``make`` a label.
        arguments: of its constructor, by name.
        inputs: positional arguments of its call; arrays, `Constant`, numbers, None.
        options: keyword arguments of its call.
        training: whether it is called in training or in evaluation mode.
        steps: how often it is called, each time with inputs a little larger; gradients add up, buffers move on.
        make: makes the module from ``nn`` of either side, for a network composed of several.
        torch_call, call: how to call it where the two sides differ: takes the module, inputs and options.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    training: bool = True
    steps: int = 1
    make: Callable[[Any], Any] | None = None
    torch_call: Callable[..., Any] | None = None
    call: Callable[..., Any] | None = None

    def label(self) -> str:
        """What to call it in the output of the tests."""
        parts = [self.name, *(f"{key}={brief(value)}" for key, value in {**self.arguments, **self.options}.items())]
        parts += [str(np.shape(value.array if isinstance(value, Constant) else value)) for value in self.inputs]
        return "-".join([*parts, *([] if self.training else ["eval"]), *([f"{self.steps}x"] if self.steps > 1 else [])])


def of_function(name: str, inputs: tuple[Any, ...], **arguments: Any) -> ModuleCase:
    """A case of a function of ``nn.functional`` that has no module."""

    def make(nn: Any) -> Any:
        class Applied(nn.Module):  # type: ignore[misc]
            def forward(self, *given: Any) -> Any:
                return getattr(nn.functional, name)(*given, **arguments)

        return Applied()

    return ModuleCase(name, arguments, inputs, make=make)


def brief(value: Any) -> str:
    """A value in a label."""
    value = value.array if isinstance(value, Constant) else value
    return f"array{np.shape(value)}" if isinstance(value, np.ndarray) else getattr(value, "__name__", str(value))


def numbers(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    """Floating-point numbers between -scale and scale, no two alike."""
    count = int(np.prod(shape))
    return scale * np.sin(1.7 * np.arange(count) + 0.9 * seed + 0.4).reshape(shape)


def whole(*shape: int, high: int, low: int = 0, seed: int = 0) -> Array:
    """Whole numbers from low up to, not including, high."""
    spread = np.floor((numbers(*shape, seed=seed) + 1.0) / 2.0 * (high - low)).astype(np.int64)
    return low + np.minimum(spread, high - low - 1)


def parameter(shape: tuple[int, ...], position: int) -> Array:
    """The values of the parameter that comes at this position when all are sorted by name."""
    return numbers(*shape, seed=position + 3, scale=0.5)


def upstream(shape: tuple[int, ...], position: int) -> Array:
    """The upstream gradient of the output at this position."""
    return np.cos(np.arange(float(np.prod(shape))) + 1.0 + position).reshape(shape)


def growth(step: int) -> float:
    """By what the inputs of that step are multiplied."""
    return 1.0 + 0.25 * step
