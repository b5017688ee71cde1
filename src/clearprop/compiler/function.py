"""``compile``: a function that is traced at its first call, and from then on run as a whole.

A program serves all calls whose tensors have the same shapes and dtypes, whose other arguments are equal, that find the
modules as they were (training or evaluation, their settings), and whose gradients are there, or None, where they were.
For any other call the function is traced again; so many programs are kept, and the one used longest ago makes way.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import update_wrapper
from time import perf_counter
from typing import Any, overload

import numpy as np

from clearprop.arguments import whole as whole_number
from clearprop.autodiff.tree import flatten, rebuild
from clearprop.compiler.collection import uncollected
from clearprop.compiler.description import Description
from clearprop.compiler.differentiable import Differentiable
from clearprop.compiler.entry import MISSED, Entry
from clearprop.compiler.executors import executor, timed
from clearprop.compiler.guards import Guards
from clearprop.compiler.report import report, runners
from clearprop.compiler.simplify import is_simple, simplify
from clearprop.compiler.watching import Watched, watcher
from clearprop.compiler.whole import Whole
from clearprop.errors import UsageError
from clearprop.graph import state
from clearprop.heap import give_back
from clearprop.primitive import spec_of
from clearprop.tensor import Tensor, to_array

_MOST_PROGRAMS = 64
"""So many programs of one function are kept."""


class Compiled:
    """What `compile` returns: a function that runs as a whole.

    Attributes:
        function: the Python function.
        traces: how often it has been traced.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        static_argnames: Sequence[str],
        keep_grads: bool = False,
        watch: Watched | None = None,
    ) -> None:
        self.function = function
        self._watch = watch
        self._watcher = None if watch is None else watcher(watch)
        self._body = function if self._watcher is None else self._watcher.watched(function)
        self.executor = name
        self.traces = 0
        self._make = executor(name)
        self._static = _static_names(static_argnames)
        self._keep_grads = keep_grads
        self._entries: OrderedDict[Any, list[Entry]] = OrderedDict()
        self._latest: Entry | None = None  # the one that served the last call
        update_wrapper(self, function, updated=())

    def __getattr__(self, name: str) -> Any:
        """What a compiled network is asked for besides, such as its parameters."""
        if name == "function":  # not yet there
            raise AttributeError(name)
        return getattr(self.function, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> Compiled:
        """A copy of the function, compiled in the same way; machine code cannot be copied."""
        copied = deepcopy(self.function, memo)
        return Compiled(copied, self.executor, tuple(self._static), self._keep_grads, self._watch)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result; what the function changes is changed."""
        if self._latest is not None and not kwargs:  # most calls are like the one before
            result = self._latest.again(args)
            if result is not MISSED:
                return result if self._watcher is None else self._watcher.result(result)
        if state.tracer is not None or state.batches or _is_looked_into():
            return self.function(*args, **kwargs)  # part of another trace, or of a whole batch; or all shall be seen
        result = self._call(args, kwargs)
        return result if self._watcher is None else self._watcher.result(result)

    @property
    def tape(self) -> Any:
        """What is watched of the latest call, as a `clearprop.lens.Tape`.

        Raises:
            UsageError: if there was no call yet, or nothing is watched.
        """
        if self._watcher is None:
            raise UsageError("nothing is watched of this compiled function", hint='cp.compile(step, watch=["h"])')
        return self._watcher.tape

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = _Call(args, kwargs, self._static)
        if not call.plain and any(type(x) is not Tensor for x in call.tensors):  # a backward pass of such a batch
            return call.run(self._body, call.tensors)
        entries = self._entries.setdefault(call.key, [])
        self._entries.move_to_end(call.key)
        entry = next((entry for entry in entries if entry.fits()), None)
        if entry is None:
            entry = self._trace(call)
            entries.insert(0, entry)
            del entries[_MOST_PROGRAMS:]
            while len(self._entries) > _MOST_PROGRAMS:
                self._entries.popitem(last=False)
        if entry.runner is None:  # a gradient may be asked of the result
            one_node = entry.differentiable if state.cell_watcher is None else None
            return call.run(self._body, call.tensors) if one_node is None else one_node(call.tensors)
        self._latest = entry if call.is_plain else None
        result = entry.again(call.tensors)
        return entry.call(call.tensors) if result is MISSED else result

    @uncollected
    def _trace(self, call: _Call) -> Entry:
        started = perf_counter()
        give_back()
        grads = state.grad_enabled
        specs = [(spec_of(x), grads and x.requires_grad) for x in call.tensors]
        whole = Whole(lambda *xs: call.run(self._body, xs), specs, keep_grads=self._keep_grads)
        traced = perf_counter()
        if not whole.differentiable and not is_simple(whole.program):
            whole.program = simplify(whole.program)
        simplified = perf_counter()
        entry = Entry(whole, Guards(whole.visited), self._make, is_plain=call.is_plain)
        if whole.differentiable and not whole.has_own_rules and not whole.touches_gradients:
            cut = Whole(lambda *xs: call.run(self._body, xs), specs, cut=True)
            entry.differentiable = Differentiable(cut, self._name, self._make, self._like_this)
        self.traces += 1
        entry.seconds = {
            "trace": traced - started,
            "simplify": simplified - traced,
            self.executor: perf_counter() - simplified,
        }
        return entry

    @property
    def _name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def _like_this(self, function: Callable[..., Any]) -> Compiled:
        """Another function, compiled in the same way."""
        return Compiled(function, self.executor, ())

    def clear(self) -> None:
        """Forget all programs; the next call traces the function again."""
        self._entries.clear()
        self._latest = None

    def report(self) -> str:
        """What was compiled.

        For each program: its kernels and what was fused into each, their floating-point operations and bytes, the
        memory between them, what NumPy computes and its share of the time, and how long each stage of making it took.
        """
        entries = [entry for entries in self._entries.values() for entry in entries]
        return report(self._name, self.executor, self.traces, entries)

    def code(self) -> str:
        """The code of all programs: LLVM's intermediate code, or the nodes that NumPy computes, to be read."""
        programs = (runners(entry) for entries in self._entries.values() for entry in entries)
        return "\n".join(runner.text() for program in programs for _, runner in program)

    def profile(self, *args: Any, calls: int = 10, **kwargs: Any) -> Description:
        """Call the function, which changes what it changes as ever, and measure each kernel.

        Each is called by Python, by itself: so they take some microseconds more than otherwise.

        Returns:
            the kernels with their seconds, for one call; print it for a table.

        Raises:
            UsageError: if it is not the native executor that runs the function with such arguments, or gradients are
                asked of the result.

        >>> import clearprop as cp
        >>> f = cp.compile(lambda x: cp.sum(cp.exp(x) * 2.0))
        >>> [kernel.operations for kernel in f.profile(cp.ones(1000)).kernels]
        [('exp', 'multiply', 'sum')]
        """
        whole_number("profile", "calls", calls)
        call = _Call(args, kwargs, self._static)
        self(*args, **kwargs)
        entry = next((entry for entry in self._entries.get(call.key, ()) if entry.fits()), None)
        if self.executor != "native" or entry is None or entry.runner is None:
            raise UsageError(
                f"profile: {self._name} is run by {self.executor}, or a gradient may be asked of its result",
                hint='cp.compile(step, executor="native") of a whole training step; or call it under cp.no_grad()',
            )
        runner = timed(entry.whole.program)
        for _ in range(calls):
            entry.call_other(runner, call.tensors)
        return _of_one_call(runner.describe(), calls)


def _is_looked_into() -> bool:
    """Whether somebody watches who wants to see every operation."""
    return state.observer is not None and state.observer.looks_into_compiled


def _of_one_call(measured: Description, calls: int) -> Description:
    return replace(
        measured, kernels=[replace(kernel, seconds=(kernel.seconds or 0.0) / calls) for kernel in measured.kernels]
    )


def _static_names(given: Any) -> frozenset[str]:
    """The names of arguments that are fixed; a single one may stand by itself."""
    names = [given] if isinstance(given, str) else list(given) if isinstance(given, Iterable) else [given]
    if not all(isinstance(name, str) for name in names):
        raise UsageError(f"compile: static_argnames={given!r}", hint='names of arguments: static_argnames=["training"]')
    return frozenset(names)


class _Call:
    """The arguments of one call, taken apart: tensors, and all others, which are part of the key.

    Attributes:
        tensors: those among the arguments, arrays made into tensors.
        key: what the call has in common with others that the same program serves.
        is_plain: whether all arguments are tensors without a history.
    """

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any], static: frozenset[str]) -> None:
        self.args, self.kwargs = args, kwargs
        if not kwargs and all(type(x) is Tensor or type(x) is np.ndarray for x in args):  # most calls
            self.tensors = [x if type(x) is Tensor else Tensor(to_array(x)) for x in args]
            self.plain = True
            self.is_plain = all(x.node is None for x in self.tensors)
            self.key: Any = (state.grad_enabled, *map(_kind, self.tensors))
            return
        self.plain = self.is_plain = False
        self.tree = [list(args), {name: kwargs[name] for name in sorted(kwargs)}]
        self.leaves = flatten(self.tree)
        self.dynamic = [isinstance(x, (Tensor, np.ndarray)) for x in self.leaves]
        if static:
            named = [name in static for name in sorted(kwargs) for _ in flatten(kwargs[name])]
            fixed = [False] * (len(self.dynamic) - len(named)) + named
            self.dynamic = [d and not f for d, f in zip(self.dynamic, fixed, strict=True)]
        pairs = list(zip(self.leaves, self.dynamic, strict=True))
        self.tensors = [x if isinstance(x, Tensor) else Tensor(to_array(x)) for x, is_tensor in pairs if is_tensor]
        others = tuple(_comparable(x) for x, is_tensor in pairs if not is_tensor)
        nesting = str(rebuild(self.tree, ["*" if is_tensor else "-" for is_tensor in self.dynamic]))
        self.key = (state.grad_enabled, nesting, others, *map(_kind, self.tensors))

    def run(self, function: Callable[..., Any], tensors: Sequence[Tensor]) -> Any:
        """Call the function with these tensors in their places."""
        if self.plain:
            return function(*tensors)
        following = iter(tensors)
        leaves = [next(following) if is_tensor else x for x, is_tensor in zip(self.leaves, self.dynamic, strict=True)]
        args, kwargs = rebuild(self.tree, leaves)
        return function(*args, **kwargs)


def _kind(x: Tensor) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    """Of a tensor, what a program depends on."""
    if type(x) is Tensor:
        return x.array.shape, x.array.dtype, x.node is not None
    spec = spec_of(x)
    return spec.shape, spec.dtype, x.requires_grad


def _comparable(x: Any) -> Any:
    """A value that is equal for equal arguments: of numbers and strings themselves, of other objects who they are."""
    if isinstance(x, (bool, int, float, str, bytes, type(None))):
        return type(x).__name__, x
    return _Same(x)


class _Same:
    """An object that is equal to itself alone; it is kept alive, so that no other can take its place."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.x is self.x

    def __hash__(self) -> int:
        return id(self.x)


@overload
def compile(
    fn: Callable[..., Any],
    *,
    executor: str = ...,
    static_argnames: Sequence[str] = ...,
    keep_grads: bool = ...,
    watch: Watched | None = ...,
) -> Compiled: ...
@overload
def compile(
    fn: None = ...,
    *,
    executor: str = ...,
    static_argnames: Sequence[str] = ...,
    keep_grads: bool = ...,
    watch: Watched | None = ...,
) -> Callable[[Callable[..., Any]], Compiled]: ...


def compile(
    fn: Callable[..., Any] | None = None,
    *,
    executor: str = "native",
    static_argnames: Sequence[str] = (),
    keep_grads: bool = False,
    watch: Watched | None = None,
) -> Compiled | Callable[[Callable[..., Any]], Compiled]:
    """A function that is run as a whole instead of operation by operation; also a decorator.

    The function is run once on symbols. Tensors and arrays among its arguments, and the cells that it reads
    (parameters, buffers, optimizer state, counters of random numbers), become inputs; what it returns, and the cells
    and gradients that it changes, become outputs. So an ordinary training step compiles whole. All other arguments, and
    whatever else Python does, are fixed when the function is traced: another number is another program.

    While somebody records (`clearprop.record`), the function runs operation by operation, so that all of it is seen.

    Where a gradient may be asked of a result, as of a compiled network, the call is one node of the graph; its backward
    pass is compiled too, and can be differentiated again. A function with rules or hooks of your own, or one that looks
    at ``.grad`` besides, is then run operation by operation, as if it were not compiled.

    Args:
        executor: "native" runs machine code; "reference" runs the program with NumPy, node by node.
        static_argnames: keyword arguments that are fixed although they are arrays.
        keep_grads: leave the gradients of parameters behind in ``.grad`` although the function itself clears them at
            its beginning, as ``zero_grad()`` does. Otherwise they are not written, and reading them is an error.
        watch: values, and their gradients, that are to be seen: names of variables, paths of modules, parameters (of
            which the gradient is shown); or a mapping from these to statistics, functions of one tensor. They are on
            the ``tape`` of the compiled function after each call, see `clearprop.record`.

    Raises:
        TraceError: if the function asks for a value, as ``if x.sum() > 0`` does; it names the line.

    >>> import clearprop as cp
    >>> w = cp.Parameter([1.0, 2.0])
    >>> optimizer = cp.optim.SGD([w], lr=0.1)
    >>> @cp.compile
    ... def step(x):
    ...     optimizer.zero_grad()
    ...     loss = ((w * x) ** 2).sum()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> [round(step(cp.ones(2)).item(), 3) for _ in range(3)]
    [5.0, 3.2, 2.048]

    >>> v = cp.Parameter([1.0, 2.0])
    >>> def f(x):
    ...     h = v * x
    ...     cp.sum(h * h).backward()
    >>> watched = cp.compile(f, watch=["h"])
    >>> watched(cp.ones(2))
    >>> watched.tape["h"].value.tolist(), watched.tape["h"].gradient.tolist()
    ([1.0, 2.0], [2.0, 4.0])
    """
    if fn is None:
        return lambda function: Compiled(function, executor, static_argnames, keep_grads, watch)
    if not callable(fn):
        raise UsageError(f"compile: {fn!r} is not a function"[:200], hint="cp.compile(function), or @cp.compile")
    return Compiled(fn, executor, static_argnames, keep_grads, watch)
