"""Settings that make no sense, shapes that would be broadcast silently, dtypes that would be mixed: one clear error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import functional as F  # noqa: N812 (its usual name)
from clearprop.errors import ClearpropError, DTypeError, RangeError, ShapeError, UsageError

X = cp.asarray([[0.5, -1.0, 2.0], [1.0, 0.0, -2.0]])
LABELS = cp.asarray([0, 2])
ONE = cp.asarray([0.5, 0.25])
LOGS = F.log_softmax(cp.zeros((5, 2, 4)))
IMAGE = cp.zeros((2, 3, 8, 8))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.leaky_relu(X, None), UsageError, "leaky_relu: negative_slope=None"),
        (lambda: F.elu(X, "a"), UsageError, "elu: alpha='a'"),
        (lambda: F.softplus(X, beta=0), UsageError, "softplus: beta=0"),
        (lambda: F.threshold(X, None, 1.0), UsageError, "threshold: threshold=None"),
        (lambda: F.hardshrink(X, "a"), UsageError, "hardshrink: lambd='a'"),
        (lambda: F.hardtanh(X, math.nan, 1.0), UsageError, "hardtanh: min_val=nan"),
        (lambda: F.normalize(X, p="a"), UsageError, "normalize: p='a'"),
        (lambda: F.normalize(X, dim=7), ShapeError, "normalize: axis 7"),
        (lambda: F.cosine_similarity(X, X, dim=7), ShapeError, "cosine_similarity: axis 7"),
        (lambda: F.pairwise_distance(X, cp.zeros((5, 3))), ShapeError, "pairwise_distance: shapes"),
        (lambda: F.layer_norm(X, 3, eps=-1.0), UsageError, "layer_norm: eps=-1.0"),
        (lambda: F.layer_norm(X, "3"), DTypeError, "normalized_shape='3'"),
        (lambda: F.rms_norm(X, 3, eps=math.nan), UsageError, "rms_norm: eps=nan"),
        (lambda: F.group_norm(X, 1.5), ShapeError, "3 channels cannot be divided into 1.5 groups"),
        (lambda: F.batch_norm(X, None, None, training=True, momentum=2.0), UsageError, "batch_norm: momentum=2.0"),
        (lambda: F.scaled_dot_product_attention(X, X, X, scale="x"), UsageError, "scale='x'"),
        (lambda: F.rotary(cp.zeros((3, 4)), base=0), UsageError, "rotary: base=0"),
        (lambda: F.sinusoidal_positions(2.5, 4), UsageError, "length=2.5"),
        (lambda: F.embedding(LABELS, cp.Parameter(X), max_norm=-1.0), RangeError, "embedding: x has 2"),
        (lambda: F.embedding([0], cp.Parameter(X), max_norm=-1.0), UsageError, "embedding: max_norm=-1.0"),
        (lambda: F.embedding([0], X, padding_idx=0.5), RangeError, "padding_idx=0.5"),
        # losses
        (lambda: F.cross_entropy(X, LABELS, label_smoothing="a"), UsageError, "label_smoothing='a'"),
        (lambda: F.cross_entropy(X, LABELS, label_smoothing=math.nan), UsageError, "label_smoothing=nan"),
        (lambda: F.cross_entropy(X, LABELS, ignore_index=0.5), UsageError, "cross_entropy: ignore_index=0.5"),
        (lambda: F.nll_loss(X, LABELS, ignore_index=None), UsageError, "nll_loss: ignore_index=None"),
        (lambda: F.huber_loss(ONE, ONE, delta="a"), UsageError, "huber_loss: delta='a'"),
        (lambda: F.smooth_l1_loss(ONE, ONE, beta=None), UsageError, "smooth_l1_loss: beta=None"),
        (lambda: F.info_nce_loss(X, X, temperature=0), UsageError, "info_nce_loss: temperature=0"),
        (lambda: F.ctc_loss(LOGS, [[1, 2], [3, 1]], [5, 5], [2, 2], blank=0.5), RangeError, r"blank=0\.5"),
        (lambda: F.ctc_loss(LOGS[:, 0], [[1], [2]], [5, 5], [1, 1]), ShapeError, "which is one sequence; there are 2"),
        # weights of losses do not make more losses
        (lambda: F.binary_cross_entropy(ONE, ONE, weight=[[1.0], [2.0]]), ShapeError, r"weight has shape \(2, 1\)"),
        (lambda: F.binary_cross_entropy_with_logits(ONE, ONE, weight=[[1.0], [2.0]]), ShapeError, "must broadcast to"),
        (
            lambda: F.binary_cross_entropy_with_logits(ONE, ONE, pos_weight=cp.ones((3, 2))),
            ShapeError,
            r"pos_weight has shape \(3, 2\)",
        ),
        (lambda: F.multilabel_soft_margin_loss(X, X, weight=cp.ones((2, 1, 3))), ShapeError, "weight has shape"),
        # mixed dtypes
        (
            lambda: F.linear(X.astype(cp.float64), cp.zeros((3, 1))),
            DTypeError,
            "linear: x is float64, weight is float32",
        ),
        (lambda: F.conv2d(IMAGE.astype(cp.float64), cp.zeros((1, 3, 2, 2))), DTypeError, "conv2d: x is float64"),
        # images
        (lambda: F.conv2d(IMAGE, cp.zeros((1, 3, 9, 9))), ShapeError, "window .* larger than the image"),
        (lambda: F.unfold(IMAGE, 9), ShapeError, "window .* larger than the image"),
        (lambda: F.conv2d(cp.zeros((2, 2, 3, 8, 8)), cp.zeros((1, 3, 2, 2))), ShapeError, r"reshape\(-1, 3, 8, 8\)"),
    ],
)
def test_one_clear_error(call: Callable[[], Any], error: type[ClearpropError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\nTry: " in str(caught.value)


def test_the_layer_that_takes_other_features_is_named_and_not_its_transpose() -> None:
    """A matrix given by hand may be the wrong way round; that of a layer is not."""
    with pytest.raises(ShapeError, match=r"Try: nn.Linear\(4, 4\)"):
        cp.nn.Linear(3, 4)(cp.zeros((2, 4)))
    with pytest.raises(ShapeError, match=r"Try: weight.mT"):
        F.linear(cp.zeros((2, 4)), cp.zeros((3, 4)))


# Labels and words out of range, wherever they are looked at --------------------------------------------------------

LABELLED: dict[str, Callable[[Any], Any]] = {
    "cross_entropy": lambda labels: F.cross_entropy(X, labels),
    "nll_loss": lambda labels: F.nll_loss(X, labels),
    "multi_margin_loss": lambda labels: F.multi_margin_loss(X, labels),
    "embedding": lambda labels: F.embedding(labels, cp.zeros((3, 2))),
    "embedding_bag": lambda labels: F.embedding_bag(labels.reshape(1, 2), cp.zeros((3, 2))),
    "one_hot": lambda labels: F.one_hot(labels, 3),
}


@pytest.mark.parametrize("wrong", [[0, 3], [-1, 0], [0, 2**40]])
@pytest.mark.parametrize("name", LABELLED)
def test_labels_out_of_range(name: str, wrong: list[int]) -> None:
    function, labels = LABELLED[name], cp.asarray(wrong)
    with pytest.raises(RangeError, match=rf"{name}[\s\S]*Try: "):
        function(labels)
    with pytest.raises(RangeError, match=name):
        cp.compile(function, executor="reference")(labels)


@pytest.mark.parametrize("wrong", [[0, 3], [-1, 0]])
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "multi_margin_loss", "one_hot"])
def test_labels_out_of_range_of_each_example(name: str, wrong: list[int]) -> None:
    each: Callable[..., Any] = {
        "cross_entropy": F.cross_entropy,
        "nll_loss": F.nll_loss,
        "multi_margin_loss": F.multi_margin_loss,
        "one_hot": lambda x, label: F.one_hot(label, 3),
    }[name]
    with pytest.raises(RangeError, match=name):
        cp.vmap(each)(X, cp.asarray(wrong))


def test_a_compiled_loss_refuses_what_comes_after_the_first_call() -> None:
    compiled = cp.compile(F.cross_entropy, executor="reference")
    assert np.isfinite(compiled(X, LABELS).item())
    with pytest.raises(RangeError, match="label 3"):
        compiled(X, cp.asarray([0, 3]))
    assert compiled(X, cp.asarray([0, -100])).item() == F.cross_entropy(X[:1], LABELS[:1]).item()


def test_one_hot_keeps_its_values_under_vmap_and_compiled() -> None:
    wanted = F.one_hot([0, 2], 3).tolist()
    assert cp.vmap(lambda label: F.one_hot(label, 3))(LABELS).tolist() == wanted
    assert cp.compile(lambda labels: F.one_hot(labels, 3), executor="reference")(LABELS).tolist() == wanted


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: F.dropout(X, p="a"), "dropout: p='a'"),
        (lambda: F.dropout(X, generator=3), "random: generator is 3"),
        (lambda: F.celu(X, alpha=None), "celu: alpha=None"),
        (lambda: F.maxout(X, None), "cannot be divided into groups of None"),
        (lambda: F.mse_loss(X, X, X), "loss: reduction="),  # weights in the place of the reduction
        (lambda: F.cross_entropy(X, LABELS, None, -100, np.ones(2)), "loss: reduction="),
        (lambda: F.kl_div(X, X, np.ones(2)), "kl_div: reduction="),
        (lambda: cp.random.normal(None), "shape=None"),
        (lambda: cp.random.normal(2, std="a"), "random.normal: std='a'"),
        (lambda: cp.random.uniform(2, low=None), "random.uniform: low=None"),
        (lambda: cp.random.seed("a"), "seed 'a' is not between"),
        # transformations of what is no function
        (lambda: cp.grad(X.sum()), r"grad: f is Tensor[\s\S]*cp.grad\(lambda x: …\)"),
        (lambda: cp.vjp(None, X), "vjp: f is None"),
        (lambda: cp.jvp(F.relu, X, X), r"jvp: primals is a Tensor[\s\S]*primals=\(x,\)"),
        (lambda: cp.hvp(F.relu, None, None), "hvp: primals is a NoneType"),
        (lambda: cp.jacobian("f"), "jacobian: f is 'f'"),
        (lambda: cp.hessian(3), "grad: f is 3"),
        (lambda: cp.vmap(3), "vmap: f is 3"),
        (lambda: cp.checkpoint(None), "checkpoint: f is None"),
        (lambda: cp.custom_vjp(None), "custom_vjp: f is None"),
        (lambda: cp.check_gradients(3, X), "check_gradients: f is 3"),
        (lambda: cp.check_gradients(F.relu, X, seed="a"), "seed='a'"),
        (lambda: cp.scan(3, X, X), "scan: f is 3"),
        (lambda: cp.scan(lambda c, x: (c, x), X, None, length="a"), "scan: length='a'"),
    ],
)
def test_what_is_no_number_no_function_and_no_generator(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(ClearpropError, match=words) as caught:
        call()
    assert "\nTry: " in str(caught.value)
