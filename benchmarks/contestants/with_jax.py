"""JAX: the whole step is one compiled function that gives its arguments' memory back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from contestants.functional import Weights, clipped, is_of_linear, starting_values, updated
from contestants.modules import fed
from workloads.base import Array, Workload


class Ops:
    """Operations. Images are N, H, W, C and windows H, W, in, out, as XLA's convolutions want them."""

    channels_last = True
    scans = True
    relu = staticmethod(jax.nn.relu)
    softplus = staticmethod(jax.nn.softplus)
    gelu = staticmethod(partial(jax.nn.gelu, approximate=False))
    split = staticmethod(partial(jnp.split, axis=-1))
    causal_attention = staticmethod(partial(jax.nn.dot_product_attention, is_causal=True))
    softmax, sigmoid, tanh, sqrt = map(staticmethod, (jax.nn.softmax, jax.nn.sigmoid, jnp.tanh, jnp.sqrt))
    concat = staticmethod(partial(jnp.concatenate, axis=-1))
    full = staticmethod(partial(jnp.full, dtype=jnp.float32))
    turned = staticmethod(jnp.matrix_transpose)

    @staticmethod
    def attention(q: Any, k: Any, v: Any, there: Any = None) -> Any:
        """Of arrays (N, T, heads, d); keys are looked at where they are there, (N, S)."""
        return jax.nn.dot_product_attention(q, k, v, mask=None if there is None else there[:, None, None])

    @staticmethod
    def linear(w: Weights, name: str, x: Any) -> Any:
        """Weights are [in, out]."""
        y, bias = x @ w[f"{name}.weight"], w.get(f"{name}.bias")
        return y if bias is None else y + bias

    @staticmethod
    def cross_entropy(logits: Any, target: Any) -> Any:
        log_p = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_p, target[:, None], axis=1).mean()

    @staticmethod
    def conv(w: Weights, name: str, x: Any, stride: int = 1) -> Any:
        layout = ("NHWC", "HWIO", "NHWC")
        pad = ((1, 1), (1, 1))
        y = lax.conv_general_dilated(x, w[f"{name}.weight"], (stride, stride), pad, dimension_numbers=layout)
        bias = w.get(f"{name}.bias")
        return y if bias is None else y + bias

    @staticmethod
    def max_pool(x: Any) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    @staticmethod
    def mean_of_image(x: Any) -> Any:
        return x.mean((1, 2))

    @staticmethod
    def more_channels(x: Any, stride: int, more: int) -> Any:
        return jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (0, more)))

    @staticmethod
    def batch_norm(w: Weights, name: str, x: Any) -> Any:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        w.keep_statistics(name, mean, variance, x.size // x.shape[-1])
        return (x - mean) * (lax.rsqrt(variance + 1e-5) * w[f"{name}.weight"]) + w[f"{name}.bias"]

    @staticmethod
    def layer_norm(w: Weights, name: str, x: Any) -> Any:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) * lax.rsqrt(variance + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    @staticmethod
    def embedding(w: Weights, name: str, ids: Any) -> Any:
        return w[f"{name}.weight"][ids]

    @staticmethod
    def lstm(w: Weights, name: str, x: Any) -> Any:
        into, hidden = w[f"{name}.weight_ih_l0"], w[f"{name}.weight_hh_l0"]
        shares = x @ into + (w[f"{name}.bias_ih_l0"] + w[f"{name}.bias_hh_l0"])

        def step(state: Any, share: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(share + h @ hidden, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        start = jnp.zeros((x.shape[1], hidden.shape[0]), x.dtype)
        return lax.scan(step, (start, start), shares)[1]

    @staticmethod
    def gru(w: Weights, name: str, x: Any) -> Any:
        into, hidden, bias = w[f"{name}.weight_ih_l0"], w[f"{name}.weight_hh_l0"], w[f"{name}.bias_hh_l0"]
        shares = x @ into + w[f"{name}.bias_ih_l0"]

        def step(h: Any, share: Any) -> Any:
            (r, z, n), (r_h, z_h, n_h) = jnp.split(share, 3, axis=-1), jnp.split(h @ hidden + bias, 3, axis=-1)
            z = jax.nn.sigmoid(z + z_h)
            h = (1 - z) * jnp.tanh(n + jax.nn.sigmoid(r + r_h) * n_h) + z * h
            return h, h

        return lax.scan(step, jnp.zeros((x.shape[1], hidden.shape[0]), x.dtype), shares)[1]

    @staticmethod
    def recur(step: Callable[[Any, Any], Any], state: Any, xs: Any) -> Any:
        return lax.scan(step, state, xs)[1]

    @staticmethod
    def scan(body: Callable[[Any, Any], Any], x: Any, layers: Any) -> Any:
        return lax.scan(lambda x, layer: (body(x, layer), None), x, layers)[0]


def make_step(workload: Workload, variant: str) -> Callable[[], Any]:
    """One step of training, and the loss before it."""
    training = workload.training

    def turn(name: str, array: Array) -> Array:
        if array.ndim == 4:
            return array.transpose(2, 3, 1, 0)
        return array.T if is_of_linear(name, array) else array

    def loss_of(weights: Any, buffers: Any, *batch: Any) -> Any:
        w = Weights(weights, buffers)
        return workload.loss(Ops, w, *batch), w.updated

    @partial(jax.jit, donate_argnums=0)
    def train(state: Any, *batch: Any) -> Any:
        weights, buffers, moments, count = state
        (loss, buffers), grads = jax.value_and_grad(loss_of, has_aux=True)(weights, buffers, *batch)
        grads = clipped(training, grads, jnp.sqrt, lambda x: jnp.minimum(x, 1.0))
        weights, moments = updated(training, weights, grads, moments, count, jnp.sqrt)
        return loss, (weights, buffers, moments, count + 1)

    state = (*starting_values(workload, Ops, turn, jnp.array), jnp.ones(()))

    def step(*batch: Any) -> Any:
        nonlocal state
        loss, state = train(state, *batch)
        return loss

    return fed(workload, step, lambda array: jnp.asarray(array.transpose(0, 2, 3, 1) if array.ndim == 4 else array))
