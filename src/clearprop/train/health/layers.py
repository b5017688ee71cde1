"""The layers whose health is looked at: modules with parameters of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clearprop.cell import Parameter
from clearprop.nn import Module


@dataclass(frozen=True)
class Layer:
    """A module's own parameters; of a module with several matrices, one of them.

    Args:
        name: the dotted name of the module, or of the parameter; the class of a network that is a single module.
        kind: the module's class.
        place: the path that nodes made inside the module bear; empty where the layer is only a part of a module.
        parameters: those that no layer before it has.
    """

    name: str
    kind: str
    place: str | None
    parameters: tuple[Parameter, ...]

    @property
    def frozen(self) -> bool:
        """Whether none of its parameters is trained."""
        return not any(parameter.requires_grad for parameter in self.parameters)

    @property
    def label(self) -> str:
        """The name with the class."""
        return self.name if self.name == self.kind else f"{self.name} ({self.kind})"

    @property
    def is_image_layer(self) -> bool:
        """Whether its weight has a window, so that the units of its output are channels, the second axis."""
        return any(parameter.ndim > 2 for parameter in self.parameters)

    @property
    def has_matrix(self) -> bool:
        """Whether it mixes its inputs, as a normalization does not."""
        return any(parameter.ndim > 1 for parameter in self.parameters)


def layers_of(model: Module) -> list[Layer]:
    """All layers of a network, in the order of their definition; a shared parameter belongs to the first.

    >>> from clearprop import nn
    >>> [layer.label for layer in layers_of(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.RNN(3, 4)))]
    ['0 (Linear)', '2.weight_ih_l0 (RNN)', '2.weight_hh_l0 (RNN)', '2.bias_ih_l0 (RNN)', '2.bias_hh_l0 (RNN)']
    """
    return list(_layers(model))


def _layers(model: Module) -> Iterator[Layer]:
    taken: set[int] = set()
    for path, module in model.named_modules():
        own = [(name, p) for name, p in module.named_parameters(recurse=False) if id(p) not in taken]
        taken.update(id(parameter) for _, parameter in own)
        kind = type(module).__name__
        if sum(parameter.ndim > 1 for _, parameter in own) > 1:
            for name, parameter in own:
                yield Layer(f"{path}.{name}".lstrip("."), kind, None, (parameter,))
        elif own:
            yield Layer(path or kind, kind, module.path, tuple(parameter for _, parameter in own))
