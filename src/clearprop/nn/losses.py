"""The losses of `clearprop.functional` as modules; names, arguments and defaults are PyTorch's."""

from __future__ import annotations

from typing import Any

from clearprop import functional
from clearprop.functional.losses import check_reduction
from clearprop.nn.module import Module
from clearprop.tensor import Buffer, Tensor, as_tensor


def _buffer(value: Any) -> Buffer | None:
    return None if value is None else Buffer(as_tensor(value))


class CrossEntropyLoss(Module):
    """See `functional.cross_entropy`: from logits, no softmax in front.

    >>> import clearprop as cp
    >>> cp.nn.CrossEntropyLoss()(cp.zeros((4, 10)), cp.tensor([0, 1, 2, 3]))
    Tensor(2.30259, dtype=float32)
    """

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        self.weight = _buffer(weight)
        self.ignore_index = ignore_index
        check_reduction(reduction)
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, logits: Any, target: Any) -> Tensor:
        """(N, C), (N,) -> ()."""
        return functional.cross_entropy(
            logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class MSELoss(Module):
    """See `functional.mse_loss`."""

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction(reduction)
        self.reduction = reduction

    def forward(self, prediction: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.mse_loss(prediction, target, self.reduction)


class BCEWithLogitsLoss(Module):
    """See `functional.binary_cross_entropy_with_logits`: from logits, no sigmoid in front."""

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        self.weight = _buffer(weight)
        check_reduction(reduction)
        self.reduction = reduction
        self.pos_weight = _buffer(pos_weight)

    def forward(self, logits: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.binary_cross_entropy_with_logits(logits, target, self.weight, self.reduction, self.pos_weight)
