"""clearprop: backpropagation you can see, at the speed of a compiler.

>>> import clearprop as cp
>>> x, y, z = (cp.tensor(v, requires_grad=True) for v in (-2.0, 5.0, -4.0))
>>> loss = (x + y) * z
>>> loss.backward()
>>> x.grad.item(), y.grad.item(), z.grad.item()
(-4.0, -4.0, 3.0)
"""

import warnings as _warnings
from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from clearprop import array, autodiff, errors, primitives, random
from clearprop import heap as _heap
from clearprop.array import *
from clearprop.autodiff import (
    Function,
    check_gradients,
    checkpoint,
    custom_vjp,
    enable_grad,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    no_grad,
    scan,
    value_and_grad,
    vjp,
    vmap,
)
from clearprop.cell import Buffer, Cell, Parameter
from clearprop.dtypes import (
    DType,
    bool,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from clearprop.errors import (
    AxisError,
    ClearpropError,
    ComputationError,
    DataError,
    DivergenceError,
    DTypeError,
    FileError,
    GradientError,
    NotFiniteError,
    OutOfMemoryError,
    RangeError,
    ShapeError,
    TraceError,
    UsageError,
)
from clearprop.graph import Graph, Node
from clearprop.tensor import Tensor, tensor

# log(0) and overflow are ordinary IEEE arithmetic here, as on every executor; NumPy would warn of each. Asking it not
# to, with np.errstate, costs a microsecond for every operation; this filter costs nothing and touches no other package.
_warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"clearprop\.primitives")
# So is a Python number that is too large for float32: it becomes infinity.
_warnings.filterwarnings("ignore", "overflow encountered in cast", RuntimeWarning, r"clearprop\.(tensor|array)")

_heap.keep()  # operation by operation, arrays come and go

__version__ = "0.1.0"

__all__ = [
    "AxisError",
    "Buffer",
    "Cell",
    "ClearpropError",
    "ComputationError",
    "DType",
    "DTypeError",
    "DataError",
    "DivergenceError",
    "FileError",
    "Function",
    "GradientError",
    "NotFiniteError",
    "OutOfMemoryError",
    "Graph",
    "Node",
    "Parameter",
    "RangeError",
    "ShapeError",
    "Tensor",
    "TraceError",
    "UsageError",
    "array",
    "autodiff",
    "bool",
    "check_gradients",
    "checkpoint",
    "custom_vjp",
    "enable_grad",
    "errors",
    "float16",
    "float32",
    "float64",
    "grad",
    "hessian",
    "hvp",
    "int16",
    "int32",
    "int64",
    "int8",
    "jacobian",
    "jvp",
    "no_grad",
    "primitives",
    "random",
    "scan",
    "tensor",
    "uint16",
    "uint32",
    "uint64",
    "uint8",
    "value_and_grad",
    "vjp",
    "vmap",
]
__all__ += array.__all__

if _TYPE_CHECKING:
    from clearprop import compiler as compiler
    from clearprop import data as data
    from clearprop import files as files
    from clearprop import functional as functional
    from clearprop import lens as lens
    from clearprop import models as models
    from clearprop import nn as nn
    from clearprop import optim as optim
    from clearprop import recipes as recipes
    from clearprop import train as train
    from clearprop.compiler import compile as compile
    from clearprop.files.tensors import load_tensors as _load_tensors
    from clearprop.files.tensors import save as save
    from clearprop.lens import record as record
    from clearprop.train import check as check

    load = _load_tensors

_ROOMS = ("compiler", "data", "files", "functional", "lens", "models", "nn", "optim", "recipes", "train")
_ELSEWHERE = {
    "compile": ("clearprop.compiler", "compile"),
    "check": ("clearprop.train", "check"),
    "record": ("clearprop.lens", "record"),
    "save": ("clearprop.files.tensors", "save"),
    "load": ("clearprop.files.tensors", "load_tensors"),
}


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_ELSEWHERE})


def __getattr__(name: str) -> _Any:
    """Import the rooms above the array namespace when they are first used, so that ``import clearprop`` stays quick."""
    if name in _ROOMS:
        return _import_module(f"clearprop.{name}")
    if name in _ELSEWHERE:
        module, attribute = _ELSEWHERE[name]
        return getattr(_import_module(module), attribute)
    message, meant = f"module 'clearprop' has no attribute {name!r}", ""
    if not name.startswith("_"):
        meant = _import_module("clearprop.familiar").suggestion(name, __dir__())
    raise AttributeError(f"{message}\nTry: {meant}" if meant else message)


def _draw(graph: Graph, **options: _Any) -> _Any:
    """A picture of the graph, see `Tape.draw`."""
    return _import_module("clearprop.lens.graphs").draw_graph(graph, **options)


def _graph_in_notebook(graph: Graph) -> str:
    return _import_module("clearprop.lens.graphs").graph_card(graph)


# The lens is above the core, and is imported when it is first used.
Graph.draw = _draw  # type: ignore[method-assign, assignment]
Graph._repr_html_ = _graph_in_notebook  # type: ignore[attr-defined]
