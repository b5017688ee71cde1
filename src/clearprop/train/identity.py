"""What a run is made of, in words: a checkpoint keeps them, and a run that is resumed must be made of the same.

What changes while a network is trained (weights, learning rates under a schedule, the epoch of a loader) is left out,
so that objects which have been in use compare like fresh ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from clearprop.data.selections import contents_of
from clearprop.errors import UsageError
from clearprop.nn import Module
from clearprop.optim import Optimizer
from clearprop.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from clearprop.train.records import plain

Words = dict[str, str]

_SETTINGS = (bool, int, float, str)
_MOST_SHOWN = 6


def of_model(model: Module) -> Words:
    """The modules with their settings, and the shapes and dtypes of all they hold.

    >>> from clearprop import nn
    >>> of_model(nn.Sequential(nn.Dropout(0.1)))
    {'model': 'Sequential', 'model.0': 'Dropout(p=0.1)'}
    """
    words = {}
    for path, module in model.named_modules():
        own = [item for item in vars(module).items() if not item[0].startswith("_") and item[0] != "training"]
        settings = ", ".join(f"{name}={value!r}" for name, value in own if isinstance(value, _SETTINGS))
        words[_join("model", path)] = type(module).__name__ + (f"({settings})" if settings else "")
    for name, tensor in model.state_dict().items():
        words[_join("model", name)] = f"{tensor.dtype.name}{list(tensor.shape)}"
    return words


def of_optimizer(optimizer: Optimizer, scheduled: Set[str]) -> Words:
    """Its class, and the settings and sizes of its groups; without those that a scheduler sets."""
    words = {"optimizer": type(optimizer).__name__}
    for index, group in enumerate(optimizer.param_groups):
        left_out = scheduled | {"params", "initial_lr"}
        settings = {name: value for name, value in group.items() if name not in left_out}
        settings["parameters"] = len(group["params"])
        words |= {f"optimizer.{index}.{name}": str(plain(value)) for name, value in settings.items()}
    return words


def of_scheduler(scheduler: LRScheduler | None, each: str, monitor: str) -> Words:
    """Its class and settings, what it starts from, whether it counts epochs or steps, and what it looks at."""
    if scheduler is None:
        return {"scheduler": "none"}
    looks = f", looks at {monitor}" if isinstance(scheduler, ReduceLROnPlateau) else ""
    return {"scheduler": f"{scheduler!r} from {scheduler.base_lrs}, each {each}{looks}"}


def of_data(data: Any, name: str) -> Words:
    """The settings of a loader, and a checksum of its arrays if it is a loader of arrays."""
    if data is None:
        return {name: "none"}
    words = {name: f"{type(data).__name__}" + (f" of {len(data)} batches" if hasattr(data, "__len__") else "")}
    if hasattr(data, "state_dict"):
        counted = ("epoch", "position")
        words |= {f"{name}.{key}": str(value) for key, value in data.state_dict().items() if key not in counted}
    return words | {f"{name}.{index}": one for index, one in enumerate(contents_of(getattr(data, "dataset", None)))}


def of_objects(objects: Iterable[object], name: str) -> Words:
    """The names of functions, or of the classes of objects."""
    return {name: ", ".join(getattr(one, "__name__", type(one).__name__) for one in objects) or "none"}


def check_same(path: object, saved: Mapping[str, str], own: Mapping[str, str]) -> None:
    """Raise UsageError, naming what differs, unless a saved run was made of what this one is made of."""
    names = [name for name in {**saved, **own} if saved.get(name) != own.get(name)]
    if not names:
        return
    lines = [f"  {name}: saved {saved.get(name, 'nothing')}, now {own.get(name, 'nothing')}" for name in names]
    more = [f"  and {len(lines) - _MOST_SHOWN} more"] if len(lines) > _MOST_SHOWN else []
    raise UsageError(
        f"{path} is the checkpoint of another run; nothing was changed:\n" + "\n".join(lines[:_MOST_SHOWN] + more),
        hint="resume with what the run was begun with, or begin a new one without resume",
    )


def _join(first: str, path: str) -> str:
    return f"{first}.{path}" if path else first
