"""Functions that are called when a module is: before and after ``forward``, and in the backward pass.

A backward hook needs places in the graph where the gradients of all inputs, and of all outputs, of the module are
complete. So while a module has one, its inputs and outputs go through nodes that change nothing and tell of the
gradients that arrive at them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from clearprop.arguments import function
from clearprop.autodiff.custom import apply_custom
from clearprop.autodiff.tree import flatten, rebuild
from clearprop.errors import GradientError
from clearprop.graph import state
from clearprop.tensor import Tensor

if TYPE_CHECKING:
    from clearprop.nn.module import Module

ForwardPreHook: TypeAlias = Callable[["Module", tuple[Any, ...]], Any]
ForwardHook: TypeAlias = Callable[["Module", tuple[Any, ...], Any], Any]
Gradients: TypeAlias = tuple[Tensor | None, ...]
BackwardHook: TypeAlias = Callable[["Module", Gradients, Gradients], Any]


class HookHandle:
    """A hook that is registered; takes it away again, by ``remove()`` or at the end of a ``with`` statement.

    Args:
        module: whose hook it is.
        register: the attribute of the module that holds its hooks of that kind.
        hook: the function.

    Raises:
        UsageError: if the hook cannot be called.
    """

    def __init__(self, module: Module, register: str, hook: Callable[..., Any]) -> None:
        self.hook = function(type(module).__name__, "the hook", hook, "a function: hook(module, …)")
        self._module = module
        self._register = register
        setattr(module, register, (*getattr(module, register), self))

    def remove(self) -> None:
        """Take the hook away; nothing happens if that has been done."""
        others = tuple(handle for handle in getattr(self._module, self._register) if handle is not self)
        setattr(self._module, self._register, others)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def run_pre_hooks(module: Module, handles: Sequence[HookHandle], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments as the hooks leave them; one value stands for one argument."""
    for handle in handles:
        changed = handle.hook(module, args)
        if changed is not None:
            args = changed if isinstance(changed, tuple) else (changed,)
    return args


class BackwardWatch:
    """Calls the backward hooks of a module for one call of it.

    Args:
        module, handles: whose hooks, and which.
    """

    def __init__(self, module: Module, handles: Sequence[HookHandle]) -> None:
        self.module = module
        self.handles = handles
        self.arguments = 0
        self.watched_inputs: list[int] = []
        self.watched_outputs: list[int] = []
        self.outputs = 0
        self.grad_output: Gradients = ()

    def inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments behind a node at which their gradients are complete."""
        self.arguments = len(args)
        self.watched_inputs, passed = _behind_a_node(args, self._inputs_arrived)
        return tuple(passed)

    def output(self, output: Any) -> Any:
        """The output, a tensor or a nesting of them, behind a node at which their gradients are complete."""
        leaves = flatten(output)
        self.outputs = len(leaves)
        self.watched_outputs, passed = _behind_a_node(leaves, self._outputs_arrived)
        return rebuild(output, passed)

    def _outputs_arrived(self, _: Any, *gradients: Tensor) -> Sequence[Tensor]:
        self.grad_output = _placed(gradients, self.watched_outputs, self.outputs)
        if not self.watched_inputs:
            self._run((None,) * self.arguments)
        return gradients

    def _inputs_arrived(self, _: Any, *gradients: Tensor) -> Sequence[Tensor | None]:
        found = self._run(_placed(gradients, self.watched_inputs, self.arguments))
        return [found[i] for i in self.watched_inputs]

    def _run(self, grad_input: Gradients) -> Gradients:
        for handle in self.handles:
            changed = handle.hook(self.module, grad_input, self.grad_output)
            if changed is None:
                continue
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != len(grad_input) or not self.watched_inputs:
                raise GradientError(
                    f"a backward hook of {self.module.path or type(self.module).__name__} returned {len(changed)} "
                    f"gradients; of {len(grad_input)} arguments {len(self.watched_inputs)} have one",
                    hint="return one for each argument, or None to change nothing",
                )
            grad_input = changed
        return grad_input


def _behind_a_node(
    values: Sequence[Any], arrived: Callable[..., Sequence[Tensor | None]]
) -> tuple[list[int], list[Any]]:
    """Which of the values gradients flow to; and all values, those behind a node that tells of their gradients."""
    places = [i for i, x in enumerate(values) if getattr(x, "requires_grad", False)] if state.grad_enabled else []
    passed = list(values)
    if places:
        new = apply_custom("backward_hook", _unchanged, arrived, [values[i] for i in places])
        for i, x in zip(places, new, strict=True):
            passed[i] = x
    return places, passed


def _unchanged(_: Any, *values: Tensor) -> list[Tensor]:
    return list(values)


def _placed(gradients: Sequence[Tensor], places: Sequence[int], count: int) -> Gradients:
    found = dict(zip(places, gradients, strict=True))
    return tuple(found.get(i) for i in range(count))
