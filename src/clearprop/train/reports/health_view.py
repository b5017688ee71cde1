"""What a report says of the health of a network: pictures, a table by layer, and the advice that was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clearprop.train.drawing.charts import Chart, line_chart
from clearprop.train.drawing.heat import HeatMap, heat_map, number
from clearprop.train.history import History
from clearprop.train.records import EpochHealth

_CURVES = 6  # more cannot be told apart at their ends
_CURVE_POINTS = 200


@dataclass(frozen=True)
class HealthPicture:
    """A heat map, or a chart, with its title and what it shows in words."""

    title: str
    heat: HeatMap | None
    chart: Chart | None
    words: str
    x_label: str = "epoch"


@dataclass(frozen=True)
class LayerHealth:
    """A row of the table: figures of the last epoch as text, shares also as numbers; empty where there is none."""

    name: str
    kind: str
    gradient: str
    update: str
    gain: str
    dead: float | None
    saturated: float | None


def health_view(history: History) -> dict[str, Any] | None:
    """The section of the report; None if nobody has looked."""
    if not history.health:
        return None
    last = history.health[-1]
    pictures = [_gradients(history.health), _updates(history.health)]
    return {
        "advice": history.advice,
        "pictures": [picture for picture in pictures if picture is not None],
        "layers": _table(history, last),
        "epoch": last.epoch,
        "has_dead": bool(last.dead),
        "has_saturated": bool(last.saturated),
    }


def _gradients(rows: Sequence[EpochHealth]) -> HealthPicture | None:
    heat = heat_map([row.epoch for row in rows], [row.gradient for row in rows])
    if heat is None:
        return None
    words = f"The norm of each layer's gradient, the mean over the steps looked at. {_extremes(rows, 'gradient')}"
    return HealthPicture("Gradient by layer and epoch", heat, None, words + _left_out(heat))


def _updates(rows: Sequence[EpochHealth]) -> HealthPicture | None:
    """Curves of a few layers; a heat map of many."""
    title = "Updates by layer and epoch"
    words = f"What an update adds to the weights, by their size; near 0.001 is usual. {_extremes(rows, 'update')}"
    names = list(dict.fromkeys(name for row in rows for name in row.update))
    if len(names) > _CURVES:
        heat = heat_map([row.epoch for row in rows], [row.update for row in rows])
        return None if heat is None else HealthPicture(title, heat, None, words + _left_out(heat))
    shown = rows[:: -(-len(rows) // _CURVE_POINTS)]
    curves = {name: np.array([row.update.get(name, np.nan) for row in shown], np.float64) for name in names}
    epochs = np.array([row.epoch for row in shown], np.float64)
    if not curves:
        return None
    chart = line_chart(epochs, curves, text=number, from_zero=True, may_be_logarithmic=True)
    return None if chart is None else HealthPicture(title, None, chart, words)


def _extremes(rows: Sequence[EpochHealth], column: str) -> str:
    """In words, for the first and the last epoch: which layer has the largest and which the smallest value."""
    parts = []
    for row in [rows[0], rows[-1]] if len(rows) > 1 else [rows[0]]:
        values = getattr(row, column)
        if not values:
            continue
        largest, smallest = max(values, key=values.get), min(values, key=values.get)
        text = f"In epoch {row.epoch:,} it is largest at {largest}, {number(values[largest])}"
        parts.append(text + (f", and smallest at {smallest}, {number(values[smallest])}" if len(values) > 1 else ""))
    return ". ".join(parts) + "." if parts else ""


def _left_out(heat: HeatMap) -> str:
    shown = len(heat.rows)
    return f" Shown are {shown} of {shown + heat.left_out} layers, evenly spread." if heat.left_out else ""


def _table(history: History, last: EpochHealth) -> list[LayerHealth]:
    kinds = {layer.path or layer.kind: layer.kind for layer in history.layers}
    columns = [last.gradient, last.update, last.gain, last.dead, last.saturated]
    return [
        LayerHealth(
            name,
            kinds.get(name, kinds.get(name.rpartition(".")[0], "") if "." in name else ""),
            _text(last.gradient, name),
            _text(last.update, name),
            _text(last.gain, name),
            last.dead.get(name),
            last.saturated.get(name),
        )
        for name in merged([kinds, *columns])
        if any(name in column for column in columns)
    ]


def merged(columns: Sequence[Iterable[str]]) -> list[str]:
    """Names of several lists, each in the order of the network, in that order.

    >>> merged([["fc1", "fc2", "fc3"], ["relu", "fc2", "tanh"]])
    ['fc1', 'relu', 'fc2', 'fc3', 'tanh']
    """
    names: list[str] = []
    for column in columns:
        following = len(names)
        for name in reversed(list(column)):
            if name in names:
                following = names.index(name)
            else:
                names.insert(following, name)
    return names


def _text(column: Mapping[str, float], name: str) -> str:
    return number(column[name]) if name in column else ""
