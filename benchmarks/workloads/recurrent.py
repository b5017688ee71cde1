"""Character models: embedding, one layer of LSTM or GRU, linear; gradients are clipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from workloads.base import Array, Batch, Draw, Training, Workload, classes

_GATES = {"LSTM": 4, "GRU": 3}


@dataclass(frozen=True)
class Recurrent(Workload):
    """``kind`` is the name of the layer in PyTorch; ``steps`` are the characters of an example."""

    kind: str = "LSTM"
    steps: int = 64
    width: int = 256
    vocabulary: int = 65

    def weights(self) -> dict[str, Array]:
        draw, gates = Draw(), _GATES[self.kind]
        draw.normal("embedding.weight", (self.vocabulary, self.width), 1.0)
        for name in ("ih", "hh"):
            draw.normal(f"layer.weight_{name}_l0", (gates * self.width, self.width), self.width**-0.5)
            draw.fill(f"layer.bias_{name}_l0", (gates * self.width,))
        draw.linear("head", self.width, self.vocabulary, scale=self.width**-0.5)
        return draw.weights

    def data(self) -> Batch:
        text = classes(self.steps * self.batch + self.batch, self.vocabulary).reshape(-1, self.batch)
        return text[:-1], np.ascontiguousarray(text[1:]).reshape(-1)

    def network(self, lib: Any) -> Any:
        nn = lib.nn

        class Network(nn.Module):
            def __init__(self, kind: str, vocabulary: int, width: int) -> None:
                super().__init__()
                self.embedding = nn.Embedding(vocabulary, width)
                self.layer = getattr(nn, kind)(width, width)
                self.head = nn.Linear(width, vocabulary)

            def forward(self, text: Any) -> Any:
                output, _ = self.layer(self.embedding(text))
                return self.head(output).reshape(text.shape[0] * text.shape[1], -1)

        return Network(self.kind, self.vocabulary, self.width)

    def logits(self, ops: Any, w: Any, text: Any) -> Any:
        layer = {"LSTM": ops.lstm, "GRU": ops.gru}[self.kind]
        output = layer(w, "layer", ops.embedding(w, "embedding", text))
        return ops.linear(w, "head", output.reshape(self.steps * self.batch, self.width))

    @property
    def flops(self) -> int:
        return self._work(self.steps * self.batch)

    @property
    def fewer_flops(self) -> int:
        """Rows of an embedding are multiplied once only, see `table_products` of the compiler."""
        return self._work(min(self.steps * self.batch, self.vocabulary))

    def _work(self, inputs: int) -> int:
        """Of a step that multiplies so many inputs of the layer."""
        rows, gates = self.steps * self.batch, _GATES[self.kind] * self.width
        return 3 * 2 * self.width * (rows * (gates + self.vocabulary) + inputs * gates)


LSTM = Recurrent("lstm", "LSTM", 32, Training("Adam", lr=1e-3, clip=1.0))
GRU = Recurrent("gru", "GRU", 32, Training("Adam", lr=1e-3, clip=1.0), kind="GRU")
