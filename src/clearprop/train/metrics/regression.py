"""How far numbers are from what they should be: functions with scikit-learn's names and meaning."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from clearprop.errors import ShapeError
from clearprop.train.metrics import checked
from clearprop.train.metrics.checked import Floats, UndefinedMetricWarning

MultiOutput: TypeAlias = Literal["uniform_average", "raw_values"] | Sequence[float]


def mean_absolute_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: MultiOutput = "uniform_average"
) -> float | Floats:
    """The mean of |y_true − y_pred|.

    Args:
        y_true: what is right, of shape (N,) or (N, outputs).
        y_pred: the answers, of the same shape.
        sample_weight: of shape (N,).
        multioutput: of several outputs: "uniform_average", their mean; "raw_values" for an array with the figure of
            each; or the weight of each.

    >>> mean_absolute_error([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0])
    0.5
    """
    true, answers, weights = _given("mean_absolute_error", y_true, y_pred, sample_weight)
    errors = np.average(np.abs(true - answers), axis=0, weights=weights)
    return _over_outputs("mean_absolute_error", errors, multioutput)


def mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: MultiOutput = "uniform_average"
) -> float | Floats:
    """The mean of (y_true − y_pred)²; for the arguments see `mean_absolute_error`.

    >>> mean_squared_error([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0])
    0.375
    """
    true, answers, weights = _given("mean_squared_error", y_true, y_pred, sample_weight)
    errors = np.average((true - answers) ** 2, axis=0, weights=weights)
    return _over_outputs("mean_squared_error", errors, multioutput)


def root_mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: MultiOutput = "uniform_average"
) -> float | Floats:
    """The square root of the mean squared error, of each output by itself; for the arguments see `mean_absolute_error`.

    >>> round(root_mean_squared_error([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0]), 4)
    0.6124
    """
    true, answers, weights = _given("root_mean_squared_error", y_true, y_pred, sample_weight)
    errors = np.sqrt(np.average((true - answers) ** 2, axis=0, weights=weights))
    return _over_outputs("root_mean_squared_error", errors, multioutput)


def r2_score(
    y_true: Any,
    y_pred: Any,
    *,
    sample_weight: Any = None,
    multioutput: MultiOutput | Literal["variance_weighted"] = "uniform_average",
    force_finite: bool = True,
) -> float | Floats:
    """The share of the variance that is explained: 1 − Σ(y_true − y_pred)² / Σ(y_true − mean)².

    1 is perfect, 0 as good as the mean, and there is no worst.

    Args:
        y_true: what is right, of shape (N,) or (N, outputs).
        y_pred: the answers, of the same shape.
        sample_weight: of shape (N,).
        multioutput: as of `mean_absolute_error`, or "variance_weighted".
        force_finite: where y_true does not vary, 1 for perfect answers and else 0, in place of NaN and −infinity.

    Returns:
        NaN, with a warning, for fewer than two examples.

    >>> round(r2_score([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0]), 4)
    0.9486
    """
    true, answers, weights = _given("r2_score", y_true, y_pred, sample_weight)
    if len(true) < 2:
        warnings.warn("R² is not defined for fewer than two examples", UndefinedMetricWarning, stacklevel=2)
        return math.nan
    for_each = np.ones(len(true)) if weights is None else weights
    unexplained = np.tensordot(for_each, (true - answers) ** 2, 1)
    variation = np.tensordot(for_each, (true - np.average(true, axis=0, weights=weights)) ** 2, 1)
    figures = explained(unexplained, variation, force_finite)
    if isinstance(multioutput, str) and multioutput == "variance_weighted":
        return float(np.average(figures, weights=variation if np.any(variation) else None))
    return _over_outputs("r2_score", figures, multioutput)


def explained(unexplained: Floats, variation: Floats, force_finite: bool = True) -> Floats:
    """R² of each output from the sums of squares.

    >>> explained(np.array([1.0, 0.0, 1.0]), np.array([4.0, 0.0, 0.0]))
    array([0.75, 1.  , 0.  ])
    """
    varies = variation > 0
    figures = 1 - unexplained / np.where(varies, variation, 1.0)
    still = np.where(unexplained > 0, 0.0 if force_finite else -math.inf, 1.0 if force_finite else math.nan)
    return np.where(varies, figures, still)


def _given(function: str, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Floats, Floats, Floats | None]:
    true, answers = checked.numbers(function, "y_true", y_true), checked.numbers(function, "y_pred", y_pred)
    if true.shape != answers.shape or true.ndim not in (1, 2):
        raise ShapeError(
            f"{function}: y_true has shape {true.shape}, y_pred has shape {answers.shape}",
            hint="both of shape (N,) or (N, outputs)",
        )
    checked.check_lengths(function, {"y_true": true, "y_pred": answers})
    weights = checked.weights(function, sample_weight, len(true))
    return true.reshape(len(true), -1), answers.reshape(len(true), -1), weights


def _over_outputs(function: str, figures: Floats, multioutput: Any) -> float | Floats:
    if isinstance(multioutput, str):
        checked.one_of(function, "multioutput", multioutput, ("uniform_average", "raw_values"))
        return figures if multioutput == "raw_values" else float(figures.mean())
    shares = checked.weights(function, multioutput, len(figures))
    return float(np.average(figures, weights=shares))
