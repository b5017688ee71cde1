"""How good the answers of a network are: functions of arrays, and metrics that add up over batches.

Functions bear scikit-learn's names and take what is right first: ``f1_score(y_true, y_pred)``. Metrics bear
torchmetrics' names and are told of batches, ``F1Score().update(output, target)``; `fit` and `evaluate` make them by
name, ``metrics=["f1"]``. Both give the same figures; metrics weight them rightly over batches of unequal length.

>>> f1_score([1, 1, 0], [1, 0, 0])
0.6666666666666666
"""

from clearprop.train.metrics.base import Mean, Metric, MetricFunction
from clearprop.train.metrics.checked import UndefinedMetricWarning
from clearprop.train.metrics.classification import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)
from clearprop.train.metrics.collecting import AUROC, AveragePrecision
from clearprop.train.metrics.counting import Accuracy, ConfusionMatrix, F1Score, Precision, Recall, TopKAccuracy
from clearprop.train.metrics.named import AnyMetric, make_metrics, metric
from clearprop.train.metrics.ranking import average_precision_score, roc_auc_score, top_k_accuracy_score
from clearprop.train.metrics.regression import (
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    root_mean_squared_error,
)
from clearprop.train.metrics.summing import (
    MeanAbsoluteError,
    MeanSquaredError,
    Perplexity,
    R2Score,
    cross_entropies,
    perplexity,
)

__all__ = [
    "AUROC",
    "Accuracy",
    "AnyMetric",
    "AveragePrecision",
    "ConfusionMatrix",
    "F1Score",
    "Mean",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "MetricFunction",
    "Perplexity",
    "Precision",
    "R2Score",
    "Recall",
    "TopKAccuracy",
    "UndefinedMetricWarning",
    "accuracy_score",
    "average_precision_score",
    "confusion_matrix",
    "cross_entropies",
    "f1_score",
    "make_metrics",
    "mean_absolute_error",
    "mean_squared_error",
    "metric",
    "perplexity",
    "precision_score",
    "r2_score",
    "recall_score",
    "roc_auc_score",
    "root_mean_squared_error",
    "top_k_accuracy_score",
]
