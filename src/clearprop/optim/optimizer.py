"""What all optimizers have in common: groups of parameters, their state, saving and loading.

The state of a parameter, such as a moment, is a dictionary of cells. It is made, as zeros, with the optimizer and not
in the first step, and only ever assigned afterwards: so one training step is like any other, and can be compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from clearprop.alignment import aligned_copy
from clearprop.arguments import flag, function
from clearprop.array.promotion import cast_to
from clearprop.autodiff import enable_grad, no_grad
from clearprop.cell import Cell, Parameter, zero_gradients
from clearprop.errors import DataError, DTypeError, ShapeError, UsageError
from clearprop.graph import state
from clearprop.nn.module import Module
from clearprop.optim.group import ParamGroup
from clearprop.primitive import numpy_dtype
from clearprop.primitives import add, multiply, negative
from clearprop.tensor import Tensor, as_array

_OF_SCHEDULES = frozenset({"initial_lr"})
"""Settings that are there if there is, or was, a schedule."""


class Optimizer:
    """Base class. A subclass hands its settings to ``__init__``, and says in `update` what a step does to a group.

    Args:
        params: parameters, or dictionaries with ``"params"`` and settings of their own for them.
        settings: of the groups that do not say otherwise.
        fused: whether a step that is not part of a compiled function is compiled by itself, see `Optimizer.step`.

    Attributes:
        param_groups: the groups; ``group["lr"]`` and so on can be read and assigned.
        state: for each parameter its cells, by name.

    Raises:
        UsageError: if there are no parameters, one is given twice, something is no parameter, or a setting is out of
            range.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"momentum", "dampening", "weight_decay", "lr_decay"})
    """Settings that do nothing where they are 0."""

    scalars: ClassVar[frozenset[str]] = frozenset()
    """Names of the cells of the state that hold one number, whatever the shape of the parameter."""

    def __init__(self, params: Any, settings: Mapping[str, Any], *, fused: bool = False) -> None:
        self.fused = flag(self._name, "fused", fused)
        self._fused_update: Callable[[], None] | None = None
        self.defaults = dict(settings)
        self.param_groups: list[ParamGroup] = []
        self.state: dict[Parameter, dict[str, Cell]] = {}
        groups = _groups(self._name, params)
        if not any(_listed(group["params"]) for group in groups):
            raise UsageError(f"{self._name}: there are no parameters", hint="the parameters() of a model that has some")
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Train more parameters: a dictionary with ``"params"``, and settings that differ from the optimizer's own.

        Raises:
            UsageError: something is no parameter, or belongs to a group already; a setting is unknown or out of range.

        >>> import clearprop as cp
        >>> from clearprop import optim
        >>> head, body = cp.Parameter([1.0]), cp.Parameter([2.0])
        >>> optimizer = optim.Adam([head], lr=0.01)
        >>> optimizer.add_param_group({"params": [body], "lr": 0.001})
        >>> [group["lr"] for group in optimizer.param_groups]
        [0.01, 0.001]
        """
        _check_group(self._name, group)
        params = _listed(group["params"])
        known = set(self.state)
        for param in params:
            _check_parameter(self._name, param)
            if param in known:
                raise UsageError(
                    f"{self._name}: the parameter {param.name or param.shape} is given twice",
                    hint="each parameter once, in one group",
                )
            known.add(param)
        own = {name: value for name, value in group.items() if name != "params"}
        unknown = [name for name in own if name not in self.defaults and name != "initial_lr"]
        if unknown:
            known_ones = ", ".join(self.defaults)
            raise UsageError(f"{self._name} has no setting {', '.join(unknown)}", hint=f"it has {known_ones}")
        settings = {**self.defaults, **own}
        self.check(settings)
        added = ParamGroup(self._name, params, settings, self.optional)
        self.param_groups = [*self.param_groups, added]  # another list: compiled steps know the old one
        self.state.update({param: {} for param in params})
        self.prepare(added)
        Module.changes += 1

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise UsageError if settings of a new group do not fit together; each by itself is checked elsewhere."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        With ``fused`` all of them are changed by one native function, which is compiled in the first step: each number
        is read and written once, and not once for each operation. That pays for networks with many weights.

        Args:
            closure: computes the gradients first, and returns the loss.

        Returns:
            what the closure returned.
        """
        loss = None
        if closure is not None:
            compute = function(f"{self._name}.step", "closure", closure, "a function that computes the gradients")
            with enable_grad():
                loss = compute()
        with no_grad():
            if self.fused and state.tracer is None:
                if self._fused_update is None:  # by its name: the compiler is a room above this one
                    self._fused_update = import_module("clearprop.compiler").compile(self._update_all)
                self._fused_update()
            else:
                self._update_all()
        return loss

    def _update_all(self) -> None:
        if state.tracer is not None:
            state.tracer.visited.update(dict.fromkeys([self, *self.param_groups]))
        for group in self.param_groups:
            self.update(group)

    def prepare(self, group: ParamGroup) -> None:
        """Make the cells of the state, zeros where a subclass says nothing else; called for each new group."""
        for param in group.params:
            for name in self.expected_slots(group):
                self.slot(param, name)

    def update(self, group: ParamGroup) -> None:
        """Change the parameters of a group that have a gradient. Nothing is recorded meanwhile."""
        raise NotImplementedError(f"{type(self).__name__} needs a method update")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set those that there are to zero."""
        zero_gradients(self.state, set_to_none)

    def gradients(self, group: ParamGroup, *, decayed: bool = True) -> Iterator[tuple[Parameter, Tensor]]:
        """The parameters of a group that have a gradient, each with the direction that it is to go against.

        That is the gradient, or where the group maximizes its negative; plus weight_decay times the parameter.

        Args:
            decayed: False for an optimizer that decays the weights beside the gradient.
        """
        maximize, decay = group["maximize"], group.tensor("weight_decay") if decayed else None
        decays = Casts([decay])
        for param in group.params:
            g = param.grad
            if g is None:
                continue
            held = param.peek_array()
            if type(g) is not Tensor or g.array.shape != held.shape or g.array.dtype != held.dtype:
                raise _wrong_gradient(self._name, param, g)  # NumPy would broadcast it
            if maximize:
                g = negative(g)
            if decay is not None:
                g = add(g, multiply(param.value, decays[numpy_dtype(g)][0]))
            yield param, g

    def slot(self, param: Parameter, name: str, first: float = 0.0) -> Cell:
        """A cell of the state, of the parameter's shape and dtype; if it is new, all its elements are ``first``."""
        cells = self.state[param]
        if name not in cells:
            held = param.peek().array
            cells[name] = Cell(np.full(held.shape, first, held.dtype), name=f"{param.name}.{name}".lstrip("."))
        return cells[name]

    # Saving and loading -------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state as plain data.

        Returns:
            ``"state"``: tensors by name, such as ``"0.exp_avg"`` for the first parameter; ``cp.save`` can write them.
            ``"param_groups"``: for each group its settings and the numbers of its parameters; JSON can say them.

        >>> import clearprop as cp
        >>> from clearprop import optim
        >>> optim.SGD([cp.Parameter([1.0])], lr=0.5, momentum=0.9).state_dict()["state"]
        {'0.momentum_buffer': Tensor([0.], dtype=float32)}
        """
        numbers = {param: i for i, param in enumerate(self.state)}
        groups = [{"params": [numbers[p] for p in g.params], **_plain(g.settings())} for g in self.param_groups]
        return {
            "state": {name: Tensor(cell.value.array) for name, cell in self._named_cells().items()},
            "param_groups": groups,
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from a saved state. Nothing is changed unless everything fits.

        Raises:
            DataError: names everything that does not fit: groups of another size, state that is missing, unexpected, or
                of another shape.
        """
        groups = _saved_groups(self._name, saved)
        sizes = [len(group["params"]) for group in groups]
        if sizes != [len(group.params) for group in self.param_groups]:
            own = [len(group.params) for group in self.param_groups]
            raise DataError(
                f"this state is of groups with {sizes} parameters; {self._name} has groups with {own}",
                hint="build the optimizer as it was when its state was saved",
            )
        checked = [self._checked(group, other) for group, other in zip(self.param_groups, groups, strict=True)]
        values = {name: as_array(value) for name, value in saved["state"].items()}
        self._check_state(checked, values)
        before = {param: dict(cells) for param, cells in self.state.items()}
        for group, new in zip(self.param_groups, checked, strict=True):
            group.take_over(new)
            for param in group.params:
                kept = self.expected_slots(group)
                self.state[param] = {name: cell for name, cell in self.state[param].items() if name in kept}
            self.prepare(group)
        self.restore(values)
        if any([*map(id, cells.values())] != [*map(id, before[p].values())] for p, cells in self.state.items()):
            self.renew_state()

    def renew_state(self) -> None:
        """Tell compiled steps that the state has other cells: they know the old dictionary."""
        self.state = dict(self.state)
        Module.changes += 1

    def _checked(self, group: ParamGroup, saved: Mapping[str, Any]) -> ParamGroup:
        """A group with the same parameters and the saved settings."""
        settings = {name: value for name, value in saved.items() if name != "params"}
        if settings.keys() - _OF_SCHEDULES != group.settings().keys() - _OF_SCHEDULES:
            raise DataError(
                f"this state has the settings {', '.join(settings)}; {self._name} has {', '.join(group.settings())}",
                hint="load it into an optimizer of the class that saved it",
            )
        return ParamGroup(self._name, group.params, settings, self.optional)

    def restore(self, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Assign saved values, which fit, to the cells of the state."""
        for name, cell in self._named_cells().items():
            cell.assign(Tensor(aligned_copy(values[name], cell.peek().array.dtype)))

    def expected_slots(self, group: ParamGroup) -> Sequence[str]:
        """The names of the cells that each parameter of such a group has."""
        return ()

    def _check_state(self, groups: Sequence[ParamGroup], values: Mapping[str, np.ndarray[Any, Any]]) -> None:
        numbers = {param: i for i, param in enumerate(self.state)}
        shapes = {
            f"{numbers[param]}.{slot}": (param, () if slot in self.scalars else param.shape)
            for group in groups
            for param in group.params
            for slot in self.expected_slots(group)
        }
        problems = [f"missing: {name}" for name in shapes if name not in values]
        problems += [f"unexpected: {name}" for name in values if name not in shapes]
        problems += [
            f"shape: {name} of {param.name or 'a parameter'} has shape {values[name].shape} instead of {shape}"
            for name, (param, shape) in shapes.items()
            if name in values and values[name].shape != shape
        ]
        if problems:
            lines = "\n".join(f"  {line}" for line in problems[:8])
            more = f"\n  and {len(problems) - 8} more" if len(problems) > 8 else ""
            raise DataError(
                f"this state does not fit {self._name}; nothing was loaded:\n{lines}{more}",
                hint="build the model and the optimizer as they were when the state was saved",
            )

    def _named_cells(self) -> dict[str, Cell]:
        return {f"{i}.{name}": cell for i, cells in enumerate(self.state.values()) for name, cell in cells.items()}

    @property
    def _name(self) -> str:
        return f"optim.{type(self).__name__}"

    def __repr__(self) -> str:
        lines = [f"{len(group.params)} parameters: {str(group.settings())[1:-1]}" for group in self.param_groups]
        return f"{type(self).__name__}(" + "; ".join(lines) + ")"


class Casts:
    """The numbers of a step, float64 tensors without axes, cast once to each dtype among the parameters.

    None, for a setting that does nothing, stays None.
    """

    def __init__(self, numbers: Sequence[Tensor | None]) -> None:
        self._numbers = numbers
        self._known: dict[np.dtype[Any], list[Any]] = {}

    def __getitem__(self, dtype: np.dtype[Any]) -> list[Any]:
        known = self._known.get(dtype)
        if known is None:
            known = [None if number is None else cast_to(number, dtype) for number in self._numbers]
            self._known[dtype] = known
        return known


def _groups(name: str, params: Any) -> list[Mapping[str, Any]]:
    """What was given as a list of groups."""
    if isinstance(params, Parameter) or hasattr(params, "parameters") or not isinstance(params, Iterable):
        raise UsageError(
            f"{name}: params is {type(params).__name__}, not a list of parameters",
            hint="[parameter]" if isinstance(params, Parameter) else "model.parameters()",
        )
    given = list(params)
    if given and isinstance(given[0], Mapping):
        for group in given:
            _check_group(name, group)
        return [{**group, "params": _listed(group["params"])} for group in given]
    return [{"params": given}]


def _check_group(name: str, group: Any) -> None:
    if not isinstance(group, Mapping) or "params" not in group:
        raise UsageError(f"{name}: a group is a dictionary with 'params' and settings", hint='{"params": [w]}')
    params = group["params"]
    if not isinstance(params, Iterable | Parameter) or hasattr(params, "parameters"):
        kind = type(params).__name__
        raise UsageError(f"{name}: 'params' is {kind}, not a list of parameters", hint="model.parameters()")


def _listed(params: Any) -> list[Any]:
    return [params] if isinstance(params, Parameter) else list(params)


def _saved_groups(name: str, saved: Any) -> list[Mapping[str, Any]]:
    """The groups of what `Optimizer.state_dict` gave."""
    if not isinstance(saved, Mapping) or not {"state", "param_groups"} <= saved.keys():
        what = f"names {', '.join(map(str, saved))}"[:80] if isinstance(saved, Mapping) else type(saved).__name__
        raise DataError(f"{name}: this is no state of an optimizer: {what}", hint="optimizer.state_dict()")
    parts = saved["state"], saved["param_groups"]
    if not isinstance(parts[0], Mapping) or not isinstance(parts[1], list | tuple):
        kinds = " and ".join(type(part).__name__ for part in parts)
        raise DataError(
            f"{name}: state and param_groups are {kinds}; they must be a dict and a list", hint="optimizer.state_dict()"
        )
    groups = list(saved["param_groups"])
    for group in groups:
        if not isinstance(group, Mapping) or "params" not in group:
            raise DataError(f"{name}: a saved group has no 'params': {group!r:.80}", hint="optimizer.state_dict()")
    return groups


def _check_parameter(name: str, param: Any) -> None:
    if isinstance(param, Parameter):
        return
    what = "a tensor, which is a value and cannot be changed" if isinstance(param, Tensor) else repr(param)[:80]
    hint = "model.parameters()" if isinstance(param, (tuple, str)) else "cp.Parameter(value) makes one"
    raise UsageError(f"{name}: every one must be a Parameter; this one is {what}", hint=hint)


def _wrong_gradient(name: str, param: Parameter, g: Any) -> Exception:
    """What to say of a gradient, which anybody may have set, that is none of this parameter."""
    held = param.peek()
    label = f"parameter {param.name}" if param.name else "a parameter"
    if not isinstance(g, Tensor):
        return UsageError(
            f"{name}: the gradient of {label} is a {type(g).__name__}",
            hint="parameter.grad = cp.asarray(value), or None",
        )
    if g.shape != held.shape:
        return ShapeError(
            f"{name}: {label} has shape {held.shape}, its gradient has shape {g.shape}",
            hint=f"a gradient of shape {held.shape}",
        )
    return DTypeError(
        f"{name}: {label} is {held.dtype.name}, its gradient is {g.dtype.name}", hint=f"g.astype(cp.{held.dtype.name})"
    )


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
