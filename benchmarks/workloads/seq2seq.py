"""A Transformer from one short sequence to another: encoder and decoder, normalized behind each part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workloads.base import Array, Batch, Draw, Training, Workload, classes


@dataclass(frozen=True)
class Seq2Seq(Workload):
    """``source`` and ``target`` are the tokens of a sequence; ``layers`` are those of encoder and decoder each."""

    source: int = 16
    target: int = 16
    width: int = 128
    layers: int = 3
    heads: int = 4
    vocabulary: int = 32

    def weights(self) -> dict[str, Array]:
        draw, width = Draw(), self.width
        draw.normal("words.weight", (self.vocabulary, width), 0.02)
        draw.normal("positions.weight", (max(self.source, self.target), width), 0.02)
        for stack in ("encoder", "decoder"):
            for i in range(self.layers):
                name = f"{stack}.{i}"
                draw.linear(f"{name}.heads", width, 3 * width, scale=0.05)
                draw.linear(f"{name}.joined", width, width, scale=0.05)
                if stack == "decoder":
                    draw.linear(f"{name}.query", width, width, scale=0.05)
                    draw.linear(f"{name}.memory", width, 2 * width, scale=0.05)
                    draw.linear(f"{name}.found", width, width, scale=0.05)
                    draw.norm(f"{name}.norm3", width)
                draw.linear(f"{name}.wide", width, 4 * width, scale=0.05)
                draw.linear(f"{name}.narrow", 4 * width, width, scale=0.05)
                draw.norm(f"{name}.norm1", width)
                draw.norm(f"{name}.norm2", width)
        draw.linear("head", width, self.vocabulary, bias=False, scale=0.05)
        return draw.weights

    def data(self) -> Batch:
        """Sources, targets, and the tokens that follow those of the targets."""
        source = classes(self.batch * self.source, self.vocabulary).reshape(self.batch, -1)
        target = classes(self.batch * (self.target + 1), self.vocabulary).reshape(self.batch, -1)
        return source, np.ascontiguousarray(target[:, :-1]), np.ascontiguousarray(target[:, 1:]).reshape(-1)

    def network(self, lib: Any) -> Any:
        nn, functional = lib.nn, lib.nn.functional

        class Layer(nn.Module):
            def __init__(self, width: int, count: int, decodes: bool) -> None:
                super().__init__()
                self.heads = nn.Linear(width, 3 * width)
                self.joined = nn.Linear(width, width)
                if decodes:
                    self.query = nn.Linear(width, width)
                    self.memory = nn.Linear(width, 2 * width)
                    self.found = nn.Linear(width, width)
                    self.norm3 = nn.LayerNorm(width)
                self.wide = nn.Linear(width, 4 * width)
                self.narrow = nn.Linear(4 * width, width)
                self.norm1 = nn.LayerNorm(width)
                self.norm2 = nn.LayerNorm(width)
                self.count = count

            def forward(self, x: Any, memory: Any = None) -> Any:
                decodes = memory is not None
                found = self.attention(*self.apart(self.heads(x), 3), is_causal=decodes)
                x = self.norm1(x + self.joined(found))
                if decodes:
                    found = self.attention(*self.apart(self.query(x), 1), *self.apart(self.memory(memory), 2))
                    x = self.norm3(x + self.found(found))
                return self.norm2(x + self.narrow(functional.relu(self.wide(x))))

            def apart(self, x: Any, parts: int) -> Any:
                """(N, T, parts width) -> (parts, N, heads, T, width / heads)."""
                n, t, width = x.shape[0], x.shape[1], x.shape[2] // parts
                return lib.moveaxis(x.reshape(n, t, parts, self.count, width // self.count), (2, 3), (0, 2))

            def attention(self, q: Any, k: Any, v: Any, is_causal: bool = False) -> Any:
                y = lib.moveaxis(functional.scaled_dot_product_attention(q, k, v, is_causal=is_causal), 1, 2)
                return y.reshape(y.shape[0], y.shape[1], -1)

        class Network(nn.Module):
            def __init__(self, of: Seq2Seq) -> None:
                super().__init__()
                self.words = nn.Embedding(of.vocabulary, of.width)
                self.positions = nn.Embedding(max(of.source, of.target), of.width)
                self.encoder = nn.ModuleList([Layer(of.width, of.heads, False) for _ in range(of.layers)])
                self.decoder = nn.ModuleList([Layer(of.width, of.heads, True) for _ in range(of.layers)])
                self.head = nn.Linear(of.width, of.vocabulary, bias=False)

            def forward(self, source: Any, target: Any) -> Any:
                memory = self.words(source) + self.positions.weight[: source.shape[1]]
                for layer in self.encoder:
                    memory = layer(memory)
                x = self.words(target) + self.positions.weight[: target.shape[1]]
                for layer in self.decoder:
                    x = layer(x, memory)
                return self.head(x).reshape(x.shape[0] * x.shape[1], -1)

        return Network(self)

    def module_loss(self, lib: Any, network: Any, *batch: Any) -> Any:
        source, target, following = batch
        return lib.nn.functional.cross_entropy(network(source, target), following)

    def loss(self, ops: Any, w: Any, *batch: Any) -> Any:
        source, target, following = batch
        memory = ops.embedding(w, "words", source) + w["positions.weight"][: self.source]
        for i in range(self.layers):
            memory = self._layer(ops, w, f"encoder.{i}", memory)
        x = ops.embedding(w, "words", target) + w["positions.weight"][: self.target]
        for i in range(self.layers):
            x = self._layer(ops, w, f"decoder.{i}", x, memory)
        return ops.cross_entropy(ops.linear(w, "head", x).reshape(self.batch * self.target, -1), following)

    def _layer(self, ops: Any, w: Any, name: str, x: Any, memory: Any = None) -> Any:
        def apart(part: str, of: Any, parts: int) -> list[Any]:
            y = ops.linear(w, f"{name}.{part}", of)
            shares = ops.split(y, parts) if parts > 1 else [y]
            return [share.reshape(self.batch, of.shape[1], self.heads, -1) for share in shares]

        def added(part: str, norm: str, x: Any, found: Any) -> Any:
            y = ops.linear(w, f"{name}.{part}", found.reshape(self.batch, x.shape[1], -1))
            return ops.layer_norm(w, f"{name}.{norm}", x + y)

        attention = ops.attention if memory is None else ops.causal_attention
        x = added("joined", "norm1", x, attention(*apart("heads", x, 3)))
        if memory is not None:
            x = added("found", "norm3", x, ops.attention(*apart("query", x, 1), *apart("memory", memory, 2)))
        return added("narrow", "norm2", x, ops.relu(ops.linear(w, f"{name}.wide", x)))

    @property
    def flops(self) -> int:
        read, written, square = self.batch * self.source, self.batch * self.target, self.width**2
        products = read * (12 + 2) * square + written * (12 + 2) * square
        seen = self.batch * (self.source**2 + self.target * (self.target + 1) // 2 + self.source * self.target)
        attention = 2 * seen * self.width
        return 3 * 2 * (self.layers * (products + attention) + written * self.width * self.vocabulary)


SEQ2SEQ = Seq2Seq("seq2seq", "seq2seq", 64, Training("Adam", lr=1e-3))
