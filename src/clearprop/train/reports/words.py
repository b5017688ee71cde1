"""Curves in words, for those who do not see them."""

from __future__ import annotations

import numpy as np

from clearprop.train.drawing.charts import Floats
from clearprop.train.figures import better, figure


def in_words(name: str, values: Floats) -> str:
    """A curve over the epochs: its two ends, its best point, and where it fails.

    >>> in_words("val_loss", np.array([2.0, 0.5, 1.0, np.nan]))
    'from 2.0000 to 1.0000, lowest in epoch 2 with 0.5000; not finite from epoch 4 on'
    """
    finite = np.flatnonzero(np.isfinite(values))
    if not finite.size:
        return "not one finite value"
    first, last = finite[0], finite[-1]
    text = f"from {figure(name, values[first])} to {figure(name, values[last])}"
    if first == last:
        text = figure(name, values[first])
    mode = better(name)
    best = finite[np.argmax(values[finite]) if mode == "max" else np.argmin(values[finite])]
    if best != last and mode is not None:
        text += f", {'highest' if mode == 'max' else 'lowest'} in epoch {best + 1:,} with {figure(name, values[best])}"
    if last + 1 < len(values):
        text += f"; not finite from epoch {last + 2:,} on"
    return text
