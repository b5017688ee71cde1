"""A character model: embedding, one LSTM layer, linear; gradients are clipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workloads.base import Array, Batch, Draw, Training, Workload, classes


@dataclass(frozen=True)
class LSTM(Workload):
    """``steps`` are the characters of an example."""

    steps: int = 64
    width: int = 256
    vocabulary: int = 65

    def weights(self) -> dict[str, Array]:
        draw = Draw()
        draw.normal("embedding.weight", (self.vocabulary, self.width), 1.0)
        for name in ("ih", "hh"):
            draw.normal(f"lstm.weight_{name}_l0", (4 * self.width, self.width), self.width**-0.5)
            draw.fill(f"lstm.bias_{name}_l0", (4 * self.width,))
        draw.linear("head", self.width, self.vocabulary, scale=self.width**-0.5)
        return draw.weights

    def data(self) -> Batch:
        text = classes(self.steps * self.batch + self.batch, self.vocabulary).reshape(-1, self.batch)
        return text[:-1], np.ascontiguousarray(text[1:]).reshape(-1)

    def network(self, lib: Any) -> Any:
        nn = lib.nn

        class Network(nn.Module):
            def __init__(self, vocabulary: int, width: int) -> None:
                super().__init__()
                self.embedding = nn.Embedding(vocabulary, width)
                self.lstm = nn.LSTM(width, width)
                self.head = nn.Linear(width, vocabulary)

            def forward(self, text: Any) -> Any:
                output, _ = self.lstm(self.embedding(text))
                return self.head(output).reshape(text.shape[0] * text.shape[1], -1)

        return Network(self.vocabulary, self.width)

    def logits(self, ops: Any, w: Any, text: Any) -> Any:
        output = ops.lstm(w, "lstm", ops.embedding(w, "embedding", text))
        return ops.linear(w, "head", output.reshape(self.steps * self.batch, self.width))

    @property
    def flops(self) -> int:
        rows = self.steps * self.batch
        return 3 * 2 * rows * self.width * (8 * self.width + self.vocabulary)


LSTM_ = LSTM("lstm", "LSTM", 32, Training("Adam", lr=1e-3, clip=1.0))
