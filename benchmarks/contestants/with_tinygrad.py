"""tinygrad on the CPU: the whole step is captured by its compiler. It needs clang."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tinygrad import Tensor, TinyJit

from contestants.functional import Weights, clipped, starting_values, updated
from contestants.modules import fed
from workloads.base import Array, Workload


class Ops:
    """Operations. Images are N, C, H, W and weights [out, in], as in PyTorch."""

    channels_last = False
    scans = False
    relu = staticmethod(Tensor.relu)
    softplus = staticmethod(Tensor.softplus)
    split = staticmethod(partial(Tensor.chunk, dim=-1))
    cross_entropy = staticmethod(Tensor.cross_entropy)
    tanh = staticmethod(Tensor.tanh)

    @staticmethod
    def gelu(x: Tensor) -> Tensor:
        return 0.5 * x * (1 + (x * 0.5**0.5).erf())

    @staticmethod
    def linear(w: Weights, name: str, x: Tensor) -> Tensor:
        return x.linear(w[f"{name}.weight"].T, w.get(f"{name}.bias"))

    @staticmethod
    def conv(w: Weights, name: str, x: Tensor, stride: int = 1) -> Tensor:
        return x.conv2d(w[f"{name}.weight"], w.get(f"{name}.bias"), stride=stride, padding=1)

    @staticmethod
    def max_pool(x: Tensor) -> Tensor:
        return x.max_pool2d(2)

    @staticmethod
    def mean_of_image(x: Tensor) -> Tensor:
        return x.mean((2, 3))

    @staticmethod
    def more_channels(x: Tensor, stride: int, more: int) -> Tensor:
        return x[:, :, ::stride, ::stride].pad(((0, 0), (0, more), (0, 0), (0, 0)))

    @staticmethod
    def batch_norm(w: Weights, name: str, x: Tensor) -> Tensor:
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        w.keep_statistics(name, mean, variance, x.numel() // x.shape[1])
        return x.batchnorm(w[f"{name}.weight"], w[f"{name}.bias"], mean, (variance + 1e-5).rsqrt())

    @staticmethod
    def layer_norm(w: Weights, name: str, x: Tensor) -> Tensor:
        return x.layernorm(eps=1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    @staticmethod
    def embedding(w: Weights, name: str, ids: Tensor) -> Tensor:
        return w[f"{name}.weight"][ids]

    @staticmethod
    def attention(q: Tensor, k: Tensor, v: Tensor, there: Tensor | None = None) -> Tensor:
        """Of arrays (N, T, heads, d); keys are looked at where they are there, (N, S)."""
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        mask = None if there is None else there[:, None, None]
        return q.scaled_dot_product_attention(k, v, attn_mask=mask).transpose(1, 2)

    @staticmethod
    def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return q.scaled_dot_product_attention(k, v, is_causal=True).transpose(1, 2)

    @staticmethod
    def lstm(w: Weights, name: str, x: Tensor) -> Tensor:
        into, hidden = w[f"{name}.weight_ih_l0"].T, w[f"{name}.weight_hh_l0"].T
        shares = x.linear(into, w[f"{name}.bias_ih_l0"] + w[f"{name}.bias_hh_l0"])
        h = c = Tensor.zeros(x.shape[1], hidden.shape[0])
        outputs = []
        for t in range(x.shape[0]):
            i, f, g, o = (shares[t] + h @ hidden).chunk(4, dim=-1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return Tensor.stack(*outputs)

    @staticmethod
    def gru(w: Weights, name: str, x: Tensor) -> Tensor:
        hidden, bias = w[f"{name}.weight_hh_l0"].T, w[f"{name}.bias_hh_l0"]
        shares = x.linear(w[f"{name}.weight_ih_l0"].T, w[f"{name}.bias_ih_l0"])
        h = Tensor.zeros(x.shape[1], hidden.shape[0])
        outputs = []
        for t in range(x.shape[0]):
            (r, z, n), (r_h, z_h, n_h) = shares[t].chunk(3, dim=-1), h.linear(hidden, bias).chunk(3, dim=-1)
            z = (z + z_h).sigmoid()
            h = (1 - z) * (n + (r + r_h).sigmoid() * n_h).tanh() + z * h
            outputs.append(h)
        return Tensor.stack(*outputs)


def make_step(workload: Workload, variant: str) -> Callable[[], Any]:
    """One step of training, and the loss before it."""
    training = workload.training

    def put(array: Array) -> Tensor:
        return Tensor(array).contiguous().realize()

    weights, buffers, moments = starting_values(workload, Ops, lambda name, array: array, put)
    count = Tensor.ones(()).contiguous().realize()
    names = list(weights)

    @TinyJit
    def train(*batch: Tensor) -> Tensor:
        w = Weights(weights, buffers)
        loss = workload.loss(Ops, w, *batch)
        grads = dict(zip(names, loss.gradient(*weights.values()), strict=True))
        grads = clipped(training, grads, Tensor.sqrt, lambda x: x.minimum(1.0))
        new_weights, new_moments = updated(training, weights, grads, moments, count, Tensor.sqrt)
        changed = [
            old[name].assign(new[name])
            for old, new in ((weights, new_weights), (moments, new_moments), (buffers, w.updated))
            for name in new
        ]
        return loss.realize(*changed, count.assign(count + 1))

    def step(*batch: Tensor) -> Any:
        return _Loss(train(*batch))

    return fed(workload, step, put)


class _Loss:
    """A loss that is a number when somebody asks for one."""

    def __init__(self, loss: Tensor) -> None:
        self._loss = loss

    def __float__(self) -> float:
        return float(self._loss.item())
