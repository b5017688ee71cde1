"""BERT being fine-tuned: layers that look in both directions, normalized behind each part; texts are padded.

The sizes are those of all-MiniLM-L6-v2. Dropout is left out: it is random, and every library draws its own numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workloads.base import Array, Batch, Draw, Training, Workload, classes


@dataclass(frozen=True)
class BERT(Workload):
    """``steps`` are the tokens of the longest text."""

    steps: int = 128
    width: int = 384
    layers: int = 6
    heads: int = 12
    vocabulary: int = 30522
    classes: int = 2

    def weights(self) -> dict[str, Array]:
        draw, width = Draw(), self.width
        draw.normal("words.weight", (self.vocabulary, width), 0.02)
        draw.normal("positions.weight", (self.steps, width), 0.02)
        draw.norm("norm", width)
        for i in range(self.layers):
            name = f"layers.{i}"
            draw.linear(f"{name}.heads", width, 3 * width, scale=0.02)
            draw.linear(f"{name}.joined", width, width, scale=0.02)
            draw.norm(f"{name}.norm1", width)
            draw.linear(f"{name}.wide", width, 4 * width, scale=0.02)
            draw.linear(f"{name}.narrow", 4 * width, width, scale=0.02)
            draw.norm(f"{name}.norm2", width)
        draw.linear("pooler", width, width, scale=0.02)
        draw.linear("head", width, self.classes, scale=0.02)
        return draw.weights

    def data(self) -> Batch:
        """Tokens, where there are tokens, and labels."""
        text = classes(self.batch * self.steps, self.vocabulary).reshape(self.batch, -1)
        lengths = np.linspace(self.steps // 4, self.steps, self.batch).astype(int)
        there = np.arange(self.steps) < lengths[:, None]
        return np.where(there, text, 0), there, classes(self.batch, self.classes)

    def network(self, lib: Any) -> Any:
        nn, functional = lib.nn, lib.nn.functional

        class Layer(nn.Module):
            def __init__(self, width: int, count: int) -> None:
                super().__init__()
                self.heads = nn.Linear(width, 3 * width)
                self.joined = nn.Linear(width, width)
                self.norm1 = nn.LayerNorm(width)
                self.wide = nn.Linear(width, 4 * width)
                self.narrow = nn.Linear(4 * width, width)
                self.norm2 = nn.LayerNorm(width)
                self.count = count

            def forward(self, x: Any, there: Any) -> Any:
                x = self.norm1(x + self.joined(self.attention(self.heads(x), there)))
                return self.norm2(x + self.narrow(functional.gelu(self.wide(x))))

            def attention(self, x: Any, there: Any) -> Any:
                n, t, width = x.shape[0], x.shape[1], x.shape[2] // 3
                x = x.reshape(n, t, 3, self.count, width // self.count)
                q, k, v = lib.moveaxis(x, (2, 3), (0, 2))  # (3, N, heads, T, width / heads)
                y = functional.scaled_dot_product_attention(q, k, v, attn_mask=there[:, None, None, :])
                return lib.moveaxis(y, 1, 2).reshape(n, t, width)

        class Network(nn.Module):
            def __init__(self, of: BERT) -> None:
                super().__init__()
                self.words = nn.Embedding(of.vocabulary, of.width)
                self.positions = nn.Embedding(of.steps, of.width)
                self.norm = nn.LayerNorm(of.width)
                self.layers = nn.ModuleList([Layer(of.width, of.heads) for _ in range(of.layers)])
                self.pooler = nn.Linear(of.width, of.width)
                self.head = nn.Linear(of.width, of.classes)

            def forward(self, text: Any, there: Any) -> Any:
                x = self.norm(self.words(text) + self.positions.weight)
                for layer in self.layers:
                    x = layer(x, there)
                return self.head(lib.tanh(self.pooler(x[:, 0])))

        return Network(self)

    def module_loss(self, lib: Any, network: Any, *batch: Any) -> Any:
        text, there, target = batch
        return lib.nn.functional.cross_entropy(network(text, there), target)

    def loss(self, ops: Any, w: Any, *batch: Any) -> Any:
        text, there, target = batch
        n, t, width = self.batch, self.steps, self.width
        x = ops.layer_norm(w, "norm", ops.embedding(w, "words", text) + w["positions.weight"])
        for i in range(self.layers):
            name = f"layers.{i}"
            parts = ops.split(ops.linear(w, f"{name}.heads", x), 3)
            q, k, v = (part.reshape(n, t, self.heads, -1) for part in parts)
            y = ops.linear(w, f"{name}.joined", ops.attention(q, k, v, there).reshape(n, t, width))
            x = ops.layer_norm(w, f"{name}.norm1", x + y)
            y = ops.linear(w, f"{name}.narrow", ops.gelu(ops.linear(w, f"{name}.wide", x)))
            x = ops.layer_norm(w, f"{name}.norm2", x + y)
        return ops.cross_entropy(ops.linear(w, "head", ops.tanh(ops.linear(w, "pooler", x[:, 0]))), target)

    @property
    def flops(self) -> int:
        products = self.batch * self.steps * self.layers * 12 * self.width**2
        attention = self.layers * 2 * self.batch * self.steps**2 * self.width
        text = self.batch * self.width * (self.width + self.classes)
        return 3 * 2 * (products + attention + text)


BERT_ = BERT("bert", "BERT", 8, Training("AdamW", lr=5e-5, weight_decay=0.01))
