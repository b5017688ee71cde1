"""How a rule of a primitive gets what it asks for, read from the names of its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from clearprop.graph import Node

OUTPUT = "z"
"""The name under which rules ask for the output."""


class Rule:
    """The rule of one edge: a function, and what it asks for beside the gradient, read from the names of its arguments.

    Attributes:
        residuals: inputs, and the output ``z``; the node must keep them.
        facts: ``shape`` and ``dtype`` of the rule's own input, asked for as ``x_shape`` and ``x_dtype``.
        attributes: attributes of the operation.
        apply: calls the function with all of them, see `_applier`.
    """

    def __init__(self, function: Callable[..., Any], input_name: str, input_names: Sequence[str]) -> None:
        self.function = function
        names = list(inspect.signature(function).parameters)[1:]
        kept = {*input_names, OUTPUT}
        about_input = {f"{input_name}_shape": "shape", f"{input_name}_dtype": "dtype"}
        self.residuals = tuple(name for name in names if name in kept)
        self.facts = tuple(about_input[name] for name in names if name in about_input)
        self.attributes = tuple(name for name in names if name not in kept and name not in about_input)
        if names != [*self.residuals, *(name for name in names if name in about_input), *self.attributes]:
            raise TypeError(f"{function.__qualname__}: order the arguments as residuals, facts, attributes")
        self.apply = self._applier()

    def _applier(self) -> Callable[[Any, dict[str, Any], Node, Node], Any]:
        """A function of (gradient, residuals, node, parent) that calls the rule with what it asks for.

        Rules run for every edge of every backward pass; the common forms, which ask for no or one residual, get
        functions of their own that do nothing else.
        """
        function, kept, facts, attributes = self.function, self.residuals, self.facts, self.attributes
        if not kept and not facts and not attributes:
            return lambda g, residuals, node, parent: function(g)
        if len(kept) == 1 and not facts and not attributes:
            (name,) = kept
            return lambda g, residuals, node, parent: function(g, residuals[name])
        if len(attributes) == 1 and not kept and not facts:
            (attribute,) = attributes
            return lambda g, residuals, node, parent: function(g, node.attributes[attribute])
        return lambda g, residuals, node, parent: function(
            g,
            *[residuals[name] for name in kept],
            *[getattr(parent, fact) for fact in facts],
            *[node.attributes[name] for name in attributes],
        )
