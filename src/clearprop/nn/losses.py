"""The losses of `clearprop.functional` as modules; names, arguments and defaults are PyTorch's.

All take the prediction first, and a ``reduction``: "mean", "sum" or "none". Factors for classes or elements are
buffers: they follow ``.to(dtype)``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from clearprop import functional
from clearprop.cell import Buffer
from clearprop.functional.losses import check_reduction
from clearprop.nn.module import Module
from clearprop.tensor import Tensor, as_tensor


def _buffer(value: Any) -> Buffer | None:
    return None if value is None else Buffer(as_tensor(value))


class Loss(Module):
    """What losses share: the reduction, and how they are printed."""

    _arguments: ClassVar[tuple[str, ...]] = ()
    """Attributes that a printed network shows."""

    def __init__(self, reduction: str = "mean") -> None:
        check_reduction(reduction)
        self.reduction = reduction

    def extra_repr(self) -> str:
        """Its arguments; the reduction, if it is not the usual one."""
        shown = [f"{name}={getattr(self, name)!r}" for name in self._arguments]
        return ", ".join([*shown, *([] if self.reduction == "mean" else [f"reduction={self.reduction!r}"])])


class CrossEntropyLoss(Loss):
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
        super().__init__(reduction)
        self.weight = _buffer(weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, logits: Any, target: Any) -> Tensor:
        """(N, C), (N,) -> ()."""
        return functional.cross_entropy(
            logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(Loss):
    """See `functional.nll_loss`: for a network that ends in `LogSoftmax`.

    >>> import clearprop as cp
    >>> cp.nn.NLLLoss()(cp.functional.log_softmax(cp.zeros((4, 10))), cp.tensor([0, 1, 2, 3]))
    Tensor(2.30259, dtype=float32)
    """

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)
        self.ignore_index = ignore_index

    def forward(self, log_probabilities: Any, target: Any) -> Tensor:
        """(N, C), (N,) -> ()."""
        return functional.nll_loss(log_probabilities, target, self.weight, self.ignore_index, self.reduction)


class MSELoss(Loss):
    """See `functional.mse_loss`.

    >>> import clearprop as cp
    >>> cp.nn.MSELoss()(cp.tensor([1.0, 2.0]), cp.tensor([0.0, 4.0]))
    Tensor(2.5, dtype=float32)
    """

    def forward(self, prediction: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.mse_loss(prediction, target, self.reduction)


class L1Loss(Loss):
    """See `functional.l1_loss`.

    >>> import clearprop as cp
    >>> cp.nn.L1Loss()(cp.tensor([1.0, 2.0]), cp.tensor([0.0, 4.0]))
    Tensor(1.5, dtype=float32)
    """

    def forward(self, prediction: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.l1_loss(prediction, target, self.reduction)


class SmoothL1Loss(Loss):
    """See `functional.smooth_l1_loss`.

    >>> import clearprop as cp
    >>> cp.nn.SmoothL1Loss()(cp.tensor([1.0, 2.0]), cp.tensor([0.0, 4.0]))
    Tensor(1., dtype=float32)
    """

    _arguments = ("beta",)

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, prediction: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.smooth_l1_loss(prediction, target, self.reduction, self.beta)


class HuberLoss(Loss):
    """See `functional.huber_loss`.

    >>> import clearprop as cp
    >>> cp.nn.HuberLoss(delta=0.5)(cp.tensor([1.0, 2.0]), cp.tensor([0.0, 4.0]))
    Tensor(0.625, dtype=float32)
    """

    _arguments = ("delta",)

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, prediction: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.huber_loss(prediction, target, self.reduction, self.delta)


class BCELoss(Loss):
    """See `functional.binary_cross_entropy`: for a network that ends in `Sigmoid`; better is `BCEWithLogitsLoss`.

    >>> import clearprop as cp
    >>> cp.nn.BCELoss()(cp.tensor([0.5, 0.9]), cp.tensor([0.0, 1.0]))
    Tensor(0.39925, dtype=float32)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)

    def forward(self, probabilities: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.binary_cross_entropy(probabilities, target, self.weight, self.reduction)


class BCEWithLogitsLoss(Loss):
    """See `functional.binary_cross_entropy_with_logits`: from logits, no sigmoid in front.

    >>> import clearprop as cp
    >>> cp.nn.BCEWithLogitsLoss()(cp.tensor([0.0, 2.0]), cp.tensor([0.0, 1.0]))
    Tensor(0.41004, dtype=float32)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)
        self.pos_weight = _buffer(pos_weight)

    def forward(self, logits: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.binary_cross_entropy_with_logits(logits, target, self.weight, self.reduction, self.pos_weight)


class MultiLabelSoftMarginLoss(Loss):
    """See `functional.multilabel_soft_margin_loss`: from logits, several classes may be right.

    >>> import clearprop as cp
    >>> cp.nn.MultiLabelSoftMarginLoss()(cp.zeros((1, 2)), cp.tensor([[1, 0]]))
    Tensor(0.69315, dtype=float32)
    """

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)

    def forward(self, logits: Any, target: Any) -> Tensor:
        """Two of the shape (N, C) -> ()."""
        return functional.multilabel_soft_margin_loss(logits, target, self.weight, self.reduction)


class SoftMarginLoss(Loss):
    """See `functional.soft_margin_loss`: targets are 1 or -1.

    >>> import clearprop as cp
    >>> cp.nn.SoftMarginLoss()(cp.tensor([0.0, 2.0]), cp.tensor([1.0, -1.0]))
    Tensor(1.41004, dtype=float32)
    """

    def forward(self, prediction: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.soft_margin_loss(prediction, target, self.reduction)


class KLDivLoss(Loss):
    """See `functional.kl_div`: from log probabilities; ``reduction="batchmean"`` is the divergence itself.

    >>> import clearprop as cp
    >>> cp.nn.KLDivLoss(reduction="batchmean")(cp.functional.log_softmax([[0.0, 0.0]]), cp.tensor([[1.0, 0.0]]))
    Tensor(0.69315, dtype=float32)
    """

    _arguments = ("log_target",)

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__("mean" if reduction == "batchmean" else reduction)
        self.reduction = reduction
        self.log_target = log_target

    def forward(self, log_probabilities: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.kl_div(log_probabilities, target, self.reduction, self.log_target)


class PoissonNLLLoss(Loss):
    """See `functional.poisson_nll_loss`: from the logarithm of the rate.

    >>> import clearprop as cp
    >>> cp.nn.PoissonNLLLoss()(cp.tensor([0.0, 1.0]), cp.tensor([2.0, 3.0]))
    Tensor(0.35914, dtype=float32)
    """

    _arguments = ("log_input", "full")

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, prediction: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.poisson_nll_loss(prediction, target, self.log_input, self.full, self.eps, self.reduction)


class GaussianNLLLoss(Loss):
    """See `functional.gaussian_nll_loss`: from a mean and a variance.

    >>> import clearprop as cp
    >>> cp.nn.GaussianNLLLoss()(cp.tensor([0.0, 2.0]), cp.tensor([0.0, 0.0]), cp.tensor([1.0, 4.0]))
    Tensor(0.59657, dtype=float32)
    """

    _arguments = ("full",)

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.full = full
        self.eps = eps

    def forward(self, prediction: Any, target: Any, var: Any) -> Tensor:
        """Two of one shape, and variances -> ()."""
        return functional.gaussian_nll_loss(prediction, target, var, self.full, self.eps, self.reduction)


class HingeEmbeddingLoss(Loss):
    """See `functional.hinge_embedding_loss`: targets are 1 or -1.

    >>> import clearprop as cp
    >>> cp.nn.HingeEmbeddingLoss()(cp.tensor([0.2, 0.2]), cp.tensor([1, -1]))
    Tensor(0.5, dtype=float32)
    """

    _arguments = ("margin",)

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, x: Any, target: Any) -> Tensor:
        """Two of one shape -> ()."""
        return functional.hinge_embedding_loss(x, target, self.margin, self.reduction)


class MarginRankingLoss(Loss):
    """See `functional.margin_ranking_loss`: targets are 1 or -1.

    >>> import clearprop as cp
    >>> cp.nn.MarginRankingLoss()(cp.tensor([2.0, 2.0]), cp.tensor([1.0, 1.0]), cp.tensor([1, -1]))
    Tensor(0.5, dtype=float32)
    """

    _arguments = ("margin",)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, x1: Any, x2: Any, target: Any) -> Tensor:
        """Three of one shape -> ()."""
        return functional.margin_ranking_loss(x1, x2, target, self.margin, self.reduction)


class CosineEmbeddingLoss(Loss):
    """See `functional.cosine_embedding_loss`: targets are 1 or -1.

    >>> import clearprop as cp
    >>> cp.nn.CosineEmbeddingLoss()(cp.tensor([[1.0, 0.0]]), cp.tensor([[0.0, 1.0]]), cp.tensor([1]))
    Tensor(1., dtype=float32)
    """

    _arguments = ("margin",)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, x1: Any, x2: Any, target: Any) -> Tensor:
        """(N, D), (N, D), (N,) -> ()."""
        return functional.cosine_embedding_loss(x1, x2, target, self.margin, self.reduction)


class TripletMarginLoss(Loss):
    """See `functional.triplet_margin_loss`.

    >>> import clearprop as cp
    >>> cp.nn.TripletMarginLoss()(cp.zeros((1, 2)), cp.tensor([[0.0, 1.0]]), cp.tensor([[0.0, 1.5]]))
    Tensor(0.5, dtype=float32)
    """

    _arguments = ("margin", "p", "swap")

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Tensor:
        """Three of the shape (N, D) -> ()."""
        return functional.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class MultiMarginLoss(Loss):
    """See `functional.multi_margin_loss`: the hinge loss of classes.

    >>> import clearprop as cp
    >>> cp.nn.MultiMarginLoss()(cp.tensor([[0.1, 0.2, 0.9]]), cp.tensor([2]))
    Tensor(0.16667, dtype=float32)
    """

    _arguments = ("p", "margin")

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.p = p
        self.margin = margin
        self.weight = _buffer(weight)

    def forward(self, x: Any, target: Any) -> Tensor:
        """(N, C), (N,) -> ()."""
        return functional.multi_margin_loss(x, target, self.p, self.margin, self.weight, self.reduction)


class InfoNCELoss(Loss):
    """See `functional.info_nce_loss`: a contrastive loss within a batch.

    >>> import clearprop as cp
    >>> cp.nn.InfoNCELoss(temperature=1.0)(cp.eye(2), cp.eye(2))
    Tensor(0.31326, dtype=float32)
    """

    _arguments = ("temperature",)

    def __init__(self, temperature: float = 0.1, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.temperature = temperature

    def forward(self, queries: Any, keys: Any) -> Tensor:
        """Two of the shape (N, D) -> ()."""
        return functional.info_nce_loss(queries, keys, self.temperature, self.reduction)


class CTCLoss(Loss):
    """See `functional.ctc_loss`: for sequences of which nobody knows where in them each label stands.

    >>> import clearprop as cp
    >>> logs = cp.functional.log_softmax(cp.zeros((3, 1, 2)))  # 3 times, 1 sequence, a blank and one label
    >>> cp.nn.CTCLoss()(logs, cp.tensor([[1]]), cp.tensor([3]), cp.tensor([1]))
    Tensor(0.28768, dtype=float32)
    """

    _arguments = ("blank", "zero_infinity")

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Tensor:
        """(T, N, C), (N, L), (N,), (N,) -> ()."""
        return functional.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
