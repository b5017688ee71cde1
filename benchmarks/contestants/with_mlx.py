"""MLX: the whole step is one compiled function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import mlx.core as mx
from mlx import nn

from contestants.functional import Weights, clipped, starting_values, updated
from contestants.modules import fed
from workloads.base import Array, Workload


class Ops:
    """Operations. Images are N, H, W, C and windows out, H, W, in, as MLX has them; weights are [out, in]."""

    channels_last = True
    scans = False
    relu = staticmethod(nn.relu)
    softplus = staticmethod(nn.softplus)
    gelu = staticmethod(nn.gelu)
    split = staticmethod(partial(mx.split, axis=-1))
    sigmoid, tanh, sqrt, full = map(staticmethod, (mx.sigmoid, mx.tanh, mx.sqrt, mx.full))
    softmax = staticmethod(partial(mx.softmax, axis=-1))
    concat = staticmethod(partial(mx.concatenate, axis=-1))

    @staticmethod
    def linear(w: Weights, name: str, x: Any) -> Any:
        weight, bias = w[f"{name}.weight"].T, w.get(f"{name}.bias")
        return x @ weight if bias is None else mx.addmm(bias, x, weight)

    @staticmethod
    def cross_entropy(logits: Any, target: Any) -> Any:
        return nn.losses.cross_entropy(logits, target, reduction="mean")

    @staticmethod
    def conv(w: Weights, name: str, x: Any, stride: int = 1) -> Any:
        y, bias = mx.conv2d(x, w[f"{name}.weight"], stride, 1), w.get(f"{name}.bias")
        return y if bias is None else y + bias

    @staticmethod
    def max_pool(x: Any) -> Any:
        n, h, w, c = x.shape
        return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))

    @staticmethod
    def mean_of_image(x: Any) -> Any:
        return x.mean((1, 2))

    @staticmethod
    def more_channels(x: Any, stride: int, more: int) -> Any:
        return mx.pad(x[:, ::stride, ::stride], [(0, 0), (0, 0), (0, 0), (0, more)])

    @staticmethod
    def batch_norm(w: Weights, name: str, x: Any) -> Any:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
        w.keep_statistics(name, mean, variance, x.size // x.shape[-1])
        return (x - mean) * (mx.rsqrt(variance + 1e-5) * w[f"{name}.weight"]) + w[f"{name}.bias"]

    @staticmethod
    def layer_norm(w: Weights, name: str, x: Any) -> Any:
        return mx.fast.layer_norm(x, w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)

    @staticmethod
    def embedding(w: Weights, name: str, ids: Any) -> Any:
        return w[f"{name}.weight"][ids]

    @staticmethod
    def turned(x: Any) -> Any:
        return x.swapaxes(-1, -2)

    @staticmethod
    def attention(q: Any, k: Any, v: Any, there: Any = None) -> Any:
        """Of arrays (N, T, heads, d); keys are looked at where they are there, (N, S)."""
        return Ops._attention(q, k, v, None if there is None else there[:, None, None])

    @staticmethod
    def causal_attention(q: Any, k: Any, v: Any) -> Any:
        return Ops._attention(q, k, v, "causal")

    @staticmethod
    def _attention(q: Any, k: Any, v: Any, mask: Any) -> Any:
        q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5, mask=mask)
        return y.swapaxes(1, 2)

    @staticmethod
    def lstm(w: Weights, name: str, x: Any) -> Any:
        into, hidden = w[f"{name}.weight_ih_l0"].T, w[f"{name}.weight_hh_l0"].T
        shares = mx.addmm(w[f"{name}.bias_ih_l0"] + w[f"{name}.bias_hh_l0"], x, into)
        h = c = mx.zeros((x.shape[1], hidden.shape[0]))
        outputs = []
        for share in mx.split(shares, shares.shape[0]):
            i, f, g, o = mx.split(mx.addmm(share[0], h, hidden), 4, axis=-1)
            c = mx.sigmoid(f) * c + mx.sigmoid(i) * mx.tanh(g)
            h = mx.sigmoid(o) * mx.tanh(c)
            outputs.append(h)
        return mx.stack(outputs)

    @staticmethod
    def gru(w: Weights, name: str, x: Any) -> Any:
        hidden, bias = w[f"{name}.weight_hh_l0"].T, w[f"{name}.bias_hh_l0"]
        shares = mx.addmm(w[f"{name}.bias_ih_l0"], x, w[f"{name}.weight_ih_l0"].T)
        h = mx.zeros((x.shape[1], hidden.shape[0]))
        outputs = []
        for share in mx.split(shares, shares.shape[0]):
            r, z, n = mx.split(share[0], 3, axis=-1)
            r_h, z_h, n_h = mx.split(mx.addmm(bias, h, hidden), 3, axis=-1)
            z = mx.sigmoid(z + z_h)
            h = (1 - z) * mx.tanh(n + mx.sigmoid(r + r_h) * n_h) + z * h
            outputs.append(h)
        return mx.stack(outputs)

    @staticmethod
    def recur(step: Callable[[Any, Any], Any], state: Any, xs: Any) -> Any:
        outputs = []
        for x in mx.split(xs, xs.shape[0]):
            state, output = step(state, x[0])
            outputs.append(output)
        return mx.stack(outputs)


def make_step(workload: Workload, variant: str) -> Callable[[], Any]:
    """One step of training, and the loss before it."""
    training = workload.training

    def turn(name: str, array: Array) -> Array:
        return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array

    weights, buffers, moments = starting_values(workload, Ops, turn, mx.array)
    state = {"weights": weights, "buffers": buffers, "moments": moments, "count": mx.ones(())}

    def loss_of(weights: Any, *batch: Any) -> Any:
        w = Weights(weights, state["buffers"])
        return workload.loss(Ops, w, *batch), w.updated

    @partial(mx.compile, inputs=state, outputs=state)
    def train(*batch: Any) -> Any:
        (loss, state["buffers"]), grads = mx.value_and_grad(loss_of)(state["weights"], *batch)
        grads = clipped(training, grads, mx.sqrt, lambda x: mx.minimum(x, 1.0))
        count = state["count"]
        state["weights"], state["moments"] = updated(
            training, state["weights"], grads, state["moments"], count, mx.sqrt
        )
        state["count"] = count + 1
        return loss

    def step(*batch: Any) -> Any:
        loss = train(*batch)
        mx.eval(loss, state)
        return loss

    return fed(workload, step, lambda array: mx.array(turn("", array)))
