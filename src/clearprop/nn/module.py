"""The base class of networks and of their parts.

A module is a plain Python object. Its parameters, buffers and children are those of its attributes that are a
`Parameter`, a `Buffer` or a `Module`, in the order in which they were set; there is no second register that could
disagree. Setting one gives it its dotted name, so that errors, graphs and files all say ``encoder.fc1.weight``.

An object that is set at several places is one object: it is counted, trained and saved once, under the first of its
names. In graphs and errors it goes by the name that it was given last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from clearprop import arguments
from clearprop.cell import Buffer, Cell, Parameter, zero_gradients
from clearprop.dtypes import to_numpy
from clearprop.errors import DTypeError, UsageError
from clearprop.graph import state
from clearprop.nn import loading, printing
from clearprop.nn.hooks import BackwardHook, BackwardWatch, ForwardHook, ForwardPreHook, HookHandle, run_pre_hooks
from clearprop.nn.summarizing import Summary, summarize
from clearprop.source import caller
from clearprop.tensor import Tensor

C = TypeVar("C", bound=Cell)


class Module:
    """A network, or a part of one. A subclass sets its parts as attributes and says in ``forward`` what they compute.

    Attributes:
        training: whether it is being trained, see `train`; `Dropout` behaves differently then.
        torch_transposes: names of its own matrices that are stored [in, out] here and [out, in] in PyTorch, see
            `state_dict`. A module of your own that multiplies ``x @ self.weight`` says ``("weight",)``.

    >>> import clearprop as cp
    >>> from clearprop import nn
    >>> class Classifier(nn.Module):
    ...     def __init__(self):
    ...         self.hidden = nn.Linear(2, 16)
    ...         self.output = nn.Linear(16, 3, bias=False)
    ...     def forward(self, x):
    ...         return self.output(cp.functional.relu(self.hidden(x)))
    >>> model = Classifier()
    >>> model(cp.ones((5, 2))).shape
    (5, 3)
    >>> print(model)
    Classifier
    ├─ hidden: Linear(2, 16)               weight (2, 16)  bias (16,)  48
    └─ output: Linear(16, 3, bias=False)   weight (16, 3)              48
    96 parameters
    """

    training: bool = True
    torch_transposes: tuple[str, ...] = ()
    _path: str = ""
    _forward_pre_hooks: tuple[HookHandle, ...] = ()
    _forward_hooks: tuple[HookHandle, ...] = ()
    _backward_hooks: tuple[HookHandle, ...] = ()
    _is_ours: ClassVar[bool] = True
    changes: ClassVar[int] = 0
    """How often an attribute of any module has been set: compiled functions look at it, see `compiler.guards`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._is_ours = cls.__module__.startswith("clearprop.")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; a subclass says so."""
        raise NotImplementedError(f"{type(self).__name__} needs a method forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward``; the nodes that it records know the path of this module, and the user's line that called it.

        Inside a module of ours the user's line is that of the outermost call, found once; one of the user's own has
        lines of its own.
        """
        if self._forward_pre_hooks:
            args = run_pre_hooks(self, self._forward_pre_hooks, args)
        watch = BackwardWatch(self, self._backward_hooks) if self._backward_hooks else None
        if watch is not None:
            args = watch.inputs(args)
        outer = state.module, state.position
        if state.observer is not None:
            state.observer.entered(self)
        if state.tracer is not None:
            state.tracer.visited[self] = None
        state.module = self._path
        if not self._is_ours:
            state.position = None
        elif outer[1] is None:
            state.position = caller()
        try:
            output = self.forward(*args, **kwargs)
        finally:
            state.module, state.position = outer
            if state.observer is not None:
                state.observer.left(self)
        for handle in self._forward_hooks:
            replaced = handle.hook(self, args, output)
            output = output if replaced is None else replaced
        return output if watch is None else watch.output(output)

    # Parts and their names ----------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Module, Cell)):
            check_name(name)
            give_names(value, join(self._path, name), set())
        elif isinstance(value, (Tensor, np.ndarray)) and isinstance(vars(self).get(name), Cell):
            kind = type(vars(self)[name]).__name__
            raise DTypeError(
                f"{type(self).__name__}.{name} is a {kind} and cannot be replaced by a value",
                hint=f"module.{name}.assign(value)",
            )
        object.__setattr__(self, name, value)
        Module.changes += 1

    @property
    def path(self) -> str:
        """Its dotted name in the network, such as ``"encoder.fc1"``; empty for the whole network."""
        return self._path

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """The module itself, under the name "", and all below it, parents before their children; each once."""
        return _walk(self, "", set())

    def modules(self) -> Iterator[Module]:
        """The module itself and all below it."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one; each once."""
        seen = set()
        for name, member in list(vars(self).items()):
            if isinstance(member, Module) and member not in seen:
                seen.add(member)
                yield name, member

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        return (module for _, module in self.named_children())

    def get_submodule(self, target: str) -> Module:
        """The module below this one of that dotted name; this one itself for "".

        Raises:
            UsageError: if there is none.

        >>> from clearprop import nn
        >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU()).get_submodule("1")
        ReLU()
        """
        module = self
        for name in target.split(".") if target else ():
            part = vars(module).get(name)
            if not isinstance(part, Module):
                has = ", ".join(child for child, _ in module.named_children())
                where = f"{type(module).__name__} {module.path}".rstrip()
                raise UsageError(f"{where} has no module {name!r} ({target!r})", hint=has or "it has none")
            module = part
        return module

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """The same as ``self.name = Buffer(tensor)``, as PyTorch writes it.

        Args:
            tensor: its value; None for an attribute that is None.
            persistent: whether it is part of `state_dict`.
        """
        setattr(self, name, None if tensor is None else Buffer(tensor, persistent=persistent))

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """The same as ``self.name = param``, as PyTorch writes it.

        Raises:
            UsageError: if it is no parameter.
        """
        if param is not None and not isinstance(param, Parameter):
            raise UsageError(
                f"register_parameter: {name} is a {type(param).__name__}, no Parameter", hint="cp.Parameter(value)"
            )
        setattr(self, name, param)

    def named_parameters(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their dotted names; each once.

        Args:
            prefix: stands in front of the names.
            recurse: False for those of this module alone, without the modules below it.

        >>> from clearprop import nn
        >>> [name for name, _ in nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).named_parameters()]
        ['0.weight', '0.bias', '2.weight', '2.bias']
        """
        return self._cells(Parameter, prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, for an optimizer; see `named_parameters`."""
        return (parameter for _, parameter in self._cells(Parameter, "", recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Buffer]]:
        """All buffers with their dotted names; each once; see `named_parameters`."""
        return self._cells(Buffer, prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """All buffers."""
        return (buffer for _, buffer in self._cells(Buffer, "", recurse))

    def named_cells(self) -> Iterator[tuple[str, Cell]]:
        """All parameters and buffers, and other cells if there are any, with their dotted names; each once."""
        return self._cells(Cell, "", True)

    def _cells(self, kind: type[C], prefix: str, recurse: bool) -> Iterator[tuple[str, C]]:
        seen = set()
        for path, module in _walk(self, prefix, set()) if recurse else ((prefix, self),):
            for name, member in list(vars(module).items()):
                if isinstance(member, kind) and member not in seen:
                    seen.add(member)
                    yield join(path, name), member

    # What can be done to all of them ------------------------------------------------------------------------------

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call the function with every module, children before their parents; returns this module."""
        call = arguments.function("apply", "the function", function, "a function of one module")
        for module in reversed(list(self.modules())):
            call(module)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set ``training`` of this module and all below it; returns this module."""
        mode = arguments.flag(f"{type(self).__name__}.train", "mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """The same as ``train(False)``: for using the network instead of training it."""
        return self.train(False)

    def requires_grad_(self, flag: bool = True) -> Self:
        """Freeze all parameters (False), or train them again; returns this module."""
        trained = arguments.flag(f"{type(self).__name__}.requires_grad_", "flag", flag)
        for parameter in self.parameters():
            parameter.requires_grad = trained
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set those that there are to zero."""
        zero_gradients(self.parameters(), set_to_none)

    def to(self, dtype: Any) -> Self:
        """Cast all floating-point parameters, their gradients, and buffers; returns this module.

        The same cells hold them, so an optimizer that knows the cells goes on working.

        Raises:
            DTypeError: if ``dtype`` is not a floating-point type.

        >>> import clearprop as cp
        >>> cp.nn.Linear(2, 1).to(cp.float64).weight.dtype
        clearprop.float64
        """
        wanted = to_numpy(dtype)
        if wanted.kind != "f":
            raise DTypeError(
                f"{type(self).__name__}.to({wanted}): parameters are floating-point numbers", hint="cp.float32"
            )
        for _, cell in self.named_cells():
            if cell.dtype.is_floating:
                _cast(cell, wanted)
        return self

    # Saving and loading -------------------------------------------------------------------------------------------

    def state_dict(self, *, layout: str = "clearprop") -> dict[str, Tensor]:
        """The values of all parameters and buffers by name. They are values: training on does not change them.

        Args:
            layout: "torch" for PyTorch: matrices turned to [out, in], and a parameter that is set at several places
                under all of its names. ``cp.save(path, model.state_dict(layout="torch"))`` writes what
                ``safetensors.torch.load_file`` and ``load_state_dict`` of the same network read there.

        Raises:
            UsageError: for another layout.

        >>> import clearprop as cp
        >>> model = cp.nn.Linear(1, 1)
        >>> before = model.state_dict()
        >>> model.weight.assign([[7.0]])
        >>> model.load_state_dict(before) and model.weight.item() != 7.0
        True
        >>> cp.nn.Linear(3, 2).state_dict(layout="torch")["weight"].shape
        (2, 3)
        """
        return loading.values_of(list(self._slots()), layout)

    def load_state_dict(
        self, values: Mapping[str, Any], strict: bool = True, *, layout: str = "clearprop"
    ) -> loading.LoadResult:
        """Assign values, tensors or arrays, to all parameters and buffers by name; cast to their dtypes.

        Nothing is assigned unless everything fits.

        Args:
            strict: if False, missing and unexpected names are returned instead of being errors.
            layout: "torch" for values that PyTorch has saved, whose matrices are [out, in].

        Raises:
            DataError: one error for everything that does not fit: names that are missing, names that are unexpected,
                other shapes, numbers of another kind.
            UsageError: for another layout.
        """
        return loading.load(type(self).__name__, list(self._slots()), values, strict, layout)

    def _slots(self) -> Iterator[loading.Slot]:
        """Every place where a parameter or buffer is set; one that is set at several places comes several times."""
        for path, module in _places(self, "", ()):
            for name, member in list(vars(module).items()):
                if isinstance(member, Cell) and getattr(member, "persistent", True):
                    yield loading.Slot(join(path, name), member, name in module.torch_transposes)

    # Looking at it ------------------------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook: ForwardPreHook) -> HookHandle:
        """Call ``hook(module, args)`` before each ``forward``; what it returns, if not None, becomes the arguments.

        Returns a handle whose ``remove()`` takes the hook away; it can also be used in a ``with`` statement.
        """
        return HookHandle(self, "_forward_pre_hooks", hook)

    def register_forward_hook(self, hook: ForwardHook) -> HookHandle:
        """Call ``hook(module, args, output)`` after each ``forward``; what it returns, if not None, becomes the output.

        Returns a handle, as `register_forward_pre_hook` does.
        """
        return HookHandle(self, "_forward_hooks", hook)

    def register_full_backward_hook(self, hook: BackwardHook) -> HookHandle:
        """Call ``hook(module, grad_input, grad_output)`` when a backward pass has come through the module.

        ``grad_output`` holds the gradient of each output, ``grad_input`` that of each positional argument; None in the
        place of one to which no gradient flows. What the hook returns, if not None, goes on in the place of
        ``grad_input``. It counts for calls of the module from now on; returns a handle, as
        `register_forward_pre_hook` does. For a single tensor see `Tensor.register_hook`.

        >>> import clearprop as cp
        >>> layer, x = cp.nn.Linear(3, 2), cp.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
        >>> with layer.register_full_backward_hook(lambda module, grad_input, grad_output: print(grad_output)):
        ...     layer(x).sum().backward()
        (Tensor([[1., 1.]], dtype=float32),)
        """
        return HookHandle(self, "_backward_hooks", hook)

    def extra_repr(self) -> str:
        """What a printed network says of this module between parentheses."""
        return ""

    def __repr__(self) -> str:
        return printing.tree(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the same tree, whose parts can be folded up."""
        return printing.card(self)

    def summary(self, *inputs: Any) -> Summary:
        """One row for each module, with the shape of its output for these inputs; see `clearprop.nn.summary`."""
        return summarize(self, inputs)


def join(path: str, name: str) -> str:
    """The dotted name of a part of a module."""
    return f"{path}.{name}" if path else name


def check_name(name: Any) -> None:
    """Raise UsageError for a name that cannot be part of a dotted one."""
    if not isinstance(name, str) or not name or "." in name:
        raise UsageError(
            f"{name!r} cannot be the name of a module or parameter: dots stand between names",
            hint=repr(str(name).replace(".", "_") or "layer"),
        )


def give_names(member: Module | Cell, path: str, seen: set[int]) -> None:
    """Tell a module, and all below it, or a cell, its dotted name."""
    if id(member) in seen:
        return
    seen.add(id(member))
    if isinstance(member, Cell):
        member.name = path
        return
    object.__setattr__(member, "_path", path)
    for name, part in vars(member).items():
        if isinstance(part, (Module, Cell)):
            give_names(part, join(path, name), seen)


def _walk(module: Module, path: str, seen: set[Module]) -> Iterator[tuple[str, Module]]:
    if module in seen:
        return
    seen.add(module)
    yield path, module
    for name, member in list(vars(module).items()):
        if isinstance(member, Module):
            yield from _walk(member, join(path, name), seen)


def _places(module: Module, path: str, above: tuple[Module, ...]) -> Iterator[tuple[str, Module]]:
    """All modules under all of their names; above: those that this one is part of."""
    if module in above:
        return
    yield path, module
    for name, member in list(vars(module).items()):
        if isinstance(member, Module):
            yield from _places(member, join(path, name), (*above, module))


def _cast(cell: Cell, dtype: np.dtype[Any]) -> None:
    """Another dtype in the same cell, so that optimizers that know the cell go on working."""
    cell.put(cell.value.array.astype(dtype))
    if isinstance(cell, Parameter) and cell.grad is not None:
        cell.grad = Tensor(cell.grad.array.astype(dtype))
