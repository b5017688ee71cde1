"""Functions that networks are composed of: activations, layers without a state of their own, losses.

All of them are written in array functions and primitives, so none has a backward rule here: the gradients follow from
the rows of the primitives. Also reachable as ``clearprop.nn.functional``.
"""

from clearprop.functional.activations import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    maxout,
    prelu,
    relu,
    sigmoid,
    silu,
    softmax,
    softplus,
    tanh,
)
from clearprop.functional.classification import cross_entropy, nll_loss
from clearprop.functional.layers import dropout, linear
from clearprop.functional.losses import binary_cross_entropy_with_logits, mse_loss

__all__ = [
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "elu",
    "gelu",
    "leaky_relu",
    "linear",
    "log_softmax",
    "maxout",
    "mse_loss",
    "nll_loss",
    "prelu",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
