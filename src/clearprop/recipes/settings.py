"""Settings: what decides what a run computes. Each field says in its type what it is and which values it may have.

So the same few lines make the options of ``clearprop train``, their help, the checks of their values, and the
configuration that a run's record keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, get_args, get_origin, get_type_hints

from clearprop.arguments import is_whole
from clearprop.errors import UsageError

Kind: TypeAlias = Literal["bool", "whole", "number", "text", "widths"]


@dataclass(frozen=True)
class Option:
    """What stands in the type of a setting beside its kind.

    Args:
        help: what it is, in a few words.
        least: the least number that it may be.
        below: what a number must be below.
        choices: the texts that it may be; with none of them given, any.

    >>> Share = Annotated[float, Option("a share of the examples", least=0, below=1)]
    """

    help: str
    least: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()


Epochs: TypeAlias = Annotated[int, Option("times to go through the training data", least=1)]
BatchSize: TypeAlias = Annotated[int, Option("examples for each update of the weights", least=1)]
LearningRate: TypeAlias = Annotated[float, Option("learning rate, at its highest", least=0)]
WeightDecay: TypeAlias = Annotated[float, Option("by how much weights shrink; times the rate, in a step", least=0)]
Dropout: TypeAlias = Annotated[float, Option("the share of hidden units left out in each step", least=0, below=1)]
Widths: TypeAlias = Annotated[tuple[int, ...], Option("widths of the hidden layers; 0 for none", least=1)]
Shift: TypeAlias = Annotated[int, Option("move the images at random, this many pixels at most", least=0)]
Patience: TypeAlias = Annotated[int, Option("stop after so many epochs without progress; 0 for never", least=0)]
Compile: TypeAlias = Annotated[bool, Option("make each step one native function, or run it operation by operation")]
Seed: TypeAlias = Annotated[int, Option("of everything random", least=0)]


@dataclass(frozen=True)
class Settings:
    """What every recipe is decided by; a recipe adds its own, and gives all of them well-tried values.

    Raises:
        UsageError: a value that its type does not allow.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Own(Settings):
    ...     epochs: Epochs = 3
    ...     batch_size: BatchSize = 32
    ...     lr: LearningRate = 0.1
    ...     cell: Annotated[str, Option("which recurrence", choices=("lstm", "gru"))] = "lstm"
    >>> [(one.name, one.kind) for one in describe(Own)][-2:]
    [('seed', 'whole'), ('cell', 'text')]
    >>> Own(cell="rnn")
    Traceback (most recent call last):
    clearprop.errors.UsageError: cell is 'rnn'
    Try: one of 'lstm', 'gru'
    """

    epochs: Epochs
    batch_size: BatchSize
    lr: LearningRate
    compile: Compile = True
    seed: Seed = 0

    def __post_init__(self) -> None:
        for one in describe(type(self)):
            one.check(getattr(self, one.name))

    def to_config(self) -> dict[str, Any]:
        """As the record of a run keeps them: what JSON can say."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def changed(self, given: Mapping[str, Any]) -> Settings:
        """The same with other values for some; UsageError names one that there is not."""
        known = asdict(self)
        for name in given:
            if name not in known:
                raise UsageError(f"there is no setting {name!r}", hint=f"one of {', '.join(known)}")
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        return type(self)(**(known | values))


class Setting(NamedTuple):
    """A field of `Settings`, as its type describes it."""

    name: str
    kind: Kind
    option: Option

    def check(self, value: Any) -> None:
        """Raise UsageError unless it may have this value."""
        if not _is_of_kind(value, self.kind) or not all(self._allows(part) for part in _parts(value)):
            raise UsageError(f"{self.name} is {value!r}", hint=self.expected)

    @property
    def expected(self) -> str:
        """What it may be, in words."""
        option = self.option
        if option.choices:
            return f"one of {', '.join(map(repr, option.choices))}"
        kind = {"bool": "True or False", "whole": "a whole number", "number": "a number", "text": "a text",
                "widths": "whole numbers"}[self.kind]  # fmt: skip
        least = "" if option.least is None else f" from {option.least:g}" + (" on" if option.below is None else "")
        return kind + least + ("" if option.below is None else f" to below {option.below:g}")

    def _allows(self, value: Any) -> bool:
        option = self.option
        if isinstance(value, str):
            return not option.choices or value in option.choices
        return (option.least is None or value >= option.least) and (option.below is None or value < option.below)


def describe(kind: type[Settings]) -> tuple[Setting, ...]:
    """All settings of a recipe, in the order of their fields."""
    hints = _hints(kind)
    return tuple(_setting(one.name, hints[one.name]) for one in fields(kind))


def _hints(kind: type[Settings]) -> dict[str, Any]:
    """The types of the fields; one that gives another value alone may leave the description to the class above."""
    hints: dict[str, Any] = {}
    for above in reversed(kind.__mro__[:-1]):
        own = get_type_hints(above, include_extras=True)
        hints |= {name: hint for name, hint in own.items() if name not in hints or get_origin(hint) is Annotated}
    return hints


def _setting(name: str, hint: Any) -> Setting:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"the setting {name} needs a type such as Annotated[int, Option(…)]")
    of, option = get_args(hint)
    kinds: dict[Any, Kind] = {bool: "bool", int: "whole", float: "number", str: "text", tuple[int, ...]: "widths"}
    return Setting(name, kinds[of], option)


def _is_of_kind(value: Any, kind: Kind) -> bool:
    if kind == "widths":
        return isinstance(value, tuple) and all(map(is_whole, value))
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return is_whole(value) if kind == "whole" else isinstance(value, bool if kind == "bool" else str)


def _parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
