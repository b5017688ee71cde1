"""A picture of templates: the weights of each class as an image, in two colours, for what speaks for it and against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from clearprop.errors import ShapeError
from clearprop.train.drawing.maps import colours, shades
from clearprop.train.drawing.plots import Panel, picture

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_ACROSS, _SIDE = 5, 132


def draw_templates(path: Path, templates: Array, names: Sequence[str], title: str, whose: str = "class") -> None:
    """Write the picture; FileError if that cannot be done.

    Colours mean the same in all templates: the strongest is the weight that is farthest from 0 in any of them.

    Args:
        templates: (classes, height, width).
        names: of the classes.
        title: what stands above.
        whose: what each template belongs to, for the legend.

    Raises:
        ShapeError: another shape.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "templates.svg"
    >>> draw_templates(path, np.array([[[0.5, -1.0]], [[0.0, 0.25]]]), ["left", "right"], "Two templates")
    >>> path.read_text().count("Weights from")
    2
    """
    if templates.ndim != 3 or len(templates) != len(names) or not templates.size:
        raise ShapeError(
            f"draw_templates: templates of shape {templates.shape} for {len(names)} classes",
            hint="(classes, height, width)",
        )
    most = float(np.abs(templates).max())
    panels = [_template(name, weights, most) for name, weights in zip(names, templates, strict=True)]
    legend = colours(title, f"ink here speaks for the {whose}", f"and here against it; full colour: ±{most:.3g}")
    rows = [panels[i : i + _ACROSS] for i in range(0, len(panels), _ACROSS)]
    picture(title, [[legend], *rows]).save(path)


def _template(name: str, weights: Array, most: float) -> Panel:
    side = _SIDE / weights.shape[1]
    span = f"{weights.min():.2g} to {weights.max():.2g}"
    return shades(name, weights, words=f"Weights from {span}.", cell=(side, side), most=most, caption=span)
