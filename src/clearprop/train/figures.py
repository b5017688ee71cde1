"""How numbers of a training run are written for people, in the terminal and in the report alike.

Plain text without control characters: what is aligned, coloured or escaped is the business of the view.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

# What a row of an epoch holds besides losses and metrics.
BOOKKEEPING = ("epoch", "lr", "seconds", "examples_per_second")
VALIDATION = "val_"

_MORE = ("accuracy", "precision", "recall", "f1", "auc", "r2", "score")
_LESS = ("loss", "perplexity", "mae", "mse", "rmse", "error")


def figure(name: str, value: float) -> str:
    """One loss, metric or learning rate, as short as its size allows.

    An accuracy is written in percent; everything else with four decimals, or as a power of ten where those say nothing.

    >>> figure("loss", 0.123456), figure("val_accuracy", 0.98123), figure("lr", 0.001), figure("loss", 3.2e-07)
    ('0.1235', '98.12 %', '0.001', '3.20e-07')
    >>> figure("loss", float("nan")), figure("perplexity", 12345.678), figure("score", -12.5)
    ('NaN', '12,346', '-12.5000')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    if is_fraction(name):
        return f"{100 * value:.2f} %"
    if name == "lr":
        return f"{value:.3g}"
    if name == "seconds":
        return f"{value:.2f}"
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return f"{value:.2e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4f}"


def is_fraction(name: str) -> bool:
    """Whether a metric of this name is a share of 1, to be written in percent.

    >>> is_fraction("val_accuracy"), is_fraction("loss")
    (True, False)
    """
    return name.endswith("accuracy")


def better(name: str) -> Literal["min", "max"] | None:
    """Whether less or more of a figure is better, by the last word of its name; None for names that say nothing of it.

    >>> better("val_loss"), better("val_macro f1"), better("top-5 accuracy"), better("temperature")
    ('min', 'max', 'max', None)
    """
    word = re.split(r"[\W_]", name)[-1]
    return "max" if word in _MORE else "min" if word in _LESS else None


def label(name: str) -> str:
    """The name of a column as a person says it.

    >>> label("val_accuracy"), label("lr"), label("top_5")
    ('validation accuracy', 'learning rate', 'top 5')
    """
    if name == "lr":
        return "learning rate"
    if name.startswith(VALIDATION):
        return f"validation {label(name.removeprefix(VALIDATION))}"
    return name.replace("_", " ")


def duration(seconds: float) -> str:
    """A length of time, to about three digits.

    >>> duration(0.0421), duration(9.81), duration(192), duration(7500)
    ('0.04 s', '9.8 s', '3 min 12 s', '2 h 05 min')
    """
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def clock(seconds: float) -> str:
    """A length of time as a clock shows it, of steady width while it counts down.

    >>> clock(42.4), clock(3723)
    ('0:42', '1:02:03')
    """
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def rate(examples_per_second: float) -> str:
    """How fast a run goes.

    >>> rate(52310.4), rate(3.14159), rate(float("inf"))
    ('52,310/s', '3.1/s', '?/s')
    """
    if not math.isfinite(examples_per_second):
        return "?/s"
    digits = 0 if examples_per_second >= 10 else 1
    return f"{examples_per_second:,.{digits}f}/s"


def shape(sizes: Sequence[int]) -> str:
    """A shape as it is spoken; a shape without axes is a single number.

    >>> shape((784, 256)), shape((10,)), shape(())
    ('784 × 256', '10', 'scalar')
    """
    return " × ".join(map(str, sizes)) or "scalar"
