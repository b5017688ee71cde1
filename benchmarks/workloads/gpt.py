"""A small GPT: layers of causal attention and a network of two linear layers, normalized before each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workloads.base import Array, Batch, Draw, Training, Workload, classes


@dataclass(frozen=True)
class GPT(Workload):
    """``steps`` are the words of an example."""

    steps: int = 128
    width: int = 256
    layers: int = 4
    heads: int = 8
    vocabulary: int = 1024

    def weights(self) -> dict[str, Array]:
        draw, width = Draw(), self.width
        draw.normal("words.weight", (self.vocabulary, width), 0.02)
        draw.normal("positions.weight", (self.steps, width), 0.02)
        for i in range(self.layers):
            name = f"layers.{i}"
            draw.norm(f"{name}.norm1", width)
            draw.linear(f"{name}.heads", width, 3 * width, scale=0.02)
            draw.linear(f"{name}.joined", width, width, scale=0.02)
            draw.norm(f"{name}.norm2", width)
            draw.linear(f"{name}.wide", width, 4 * width, scale=0.02)
            draw.linear(f"{name}.narrow", 4 * width, width, scale=0.02)
        draw.norm("norm", width)
        draw.linear("head", width, self.vocabulary, bias=False, scale=0.02)
        return draw.weights

    def data(self) -> Batch:
        text = classes(self.batch * (self.steps + 1), self.vocabulary).reshape(self.batch, -1)
        return np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:]).reshape(-1)

    def network(self, lib: Any) -> Any:
        nn, functional = lib.nn, lib.nn.functional

        class Layer(nn.Module):
            def __init__(self, width: int, count: int) -> None:
                super().__init__()
                self.norm1 = nn.LayerNorm(width)
                self.heads = nn.Linear(width, 3 * width)
                self.joined = nn.Linear(width, width)
                self.norm2 = nn.LayerNorm(width)
                self.wide = nn.Linear(width, 4 * width)
                self.narrow = nn.Linear(4 * width, width)
                self.count = count

            def forward(self, x: Any) -> Any:
                x = x + self.joined(self.attention(self.heads(self.norm1(x))))
                return x + self.narrow(functional.gelu(self.wide(self.norm2(x))))

            def attention(self, x: Any) -> Any:
                n, t, width = x.shape[0], x.shape[1], x.shape[2] // 3
                x = x.reshape(n, t, 3, self.count, width // self.count)
                q, k, v = lib.moveaxis(x, (2, 3), (0, 2))  # (3, N, heads, T, width / heads)
                y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
                return lib.moveaxis(y, 1, 2).reshape(n, t, width)

        class Network(nn.Module):
            def __init__(self, of: GPT) -> None:
                super().__init__()
                self.words = nn.Embedding(of.vocabulary, of.width)
                self.positions = nn.Embedding(of.steps, of.width)
                self.layers = nn.Sequential(*(Layer(of.width, of.heads) for _ in range(of.layers)))
                self.norm = nn.LayerNorm(of.width)
                self.head = nn.Linear(of.width, of.vocabulary, bias=False)

            def forward(self, text: Any) -> Any:
                x = self.words(text) + self.positions.weight
                x = self.head(self.norm(self.layers(x)))
                return x.reshape(text.shape[0] * text.shape[1], -1)

        return Network(self)

    def logits(self, ops: Any, w: Any, text: Any) -> Any:
        n, t, width = self.batch, self.steps, self.width
        x = ops.embedding(w, "words", text) + w["positions.weight"]
        for i in range(self.layers):
            name = f"layers.{i}"
            y = ops.linear(w, f"{name}.heads", ops.layer_norm(w, f"{name}.norm1", x))
            q, k, v = (part.reshape(n, t, self.heads, -1) for part in ops.split(y, 3))
            x = x + ops.linear(w, f"{name}.joined", ops.causal_attention(q, k, v).reshape(n, t, width))
            y = ops.gelu(ops.linear(w, f"{name}.wide", ops.layer_norm(w, f"{name}.norm2", x)))
            x = x + ops.linear(w, f"{name}.narrow", y)
        x = ops.linear(w, "head", ops.layer_norm(w, "norm", x))
        return x.reshape(n * t, self.vocabulary)

    @property
    def flops(self) -> int:
        products = self.layers * 12 * self.width**2 + self.width * self.vocabulary
        pairs = self.batch * self.steps * (self.steps + 1) // 2  # of a word and one that it may look at
        attention = self.layers * 2 * pairs * self.width
        return 3 * 2 * (self.batch * self.steps * products + attention)


GPT_ = GPT("gpt", "GPT", 8, Training("AdamW", lr=3e-4, weight_decay=0.01))
