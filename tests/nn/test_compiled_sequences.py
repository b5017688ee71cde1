"""Training steps of networks for sequences, compiled: the same losses, weights and random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, optim


def made(kind: str) -> tuple[nn.Module, Any]:
    """A network with dropout, and how to call it on a batch and the lengths of its sequences."""
    if kind == "Transformer":
        model: Any = nn.Transformer(8, 2, 1, 1, 16, dropout=0.1, batch_first=True)
        return model, lambda x, hidden, lengths: model(x, x, src_key_padding_mask=hidden, tgt_is_causal=True)
    layer: Any = getattr(nn, kind)(8, 8, num_layers=2, dropout=0.3, batch_first=True)
    return layer, lambda x, hidden, lengths: layer(x, lengths=lengths)[0]


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "Transformer"])
def test_compiled_steps_are_the_same(kind: str) -> None:
    results = []
    for compiled in (False, True):
        cp.random.seed(0)
        model, call = made(kind)
        optimizer = optim.AdamW(model.parameters(), lr=1e-2)

        def step(x: Any, hidden: Any, lengths: Any, optimizer: Any = optimizer, call: Any = call) -> Any:
            optimizer.zero_grad()
            difference = call(x, hidden, lengths) - 0.5 * x
            loss = (difference * difference).mean()
            loss.backward()
            optimizer.step()
            return loss

        run = cp.compile(step, executor="reference") if compiled else step
        random = np.random.default_rng(0)
        losses = []
        for lengths in ([5, 2, 3], [1, 5, 4], [2, 2, 2]):  # other lengths, and other numbers to drop: the same program
            x = cp.asarray(random.standard_normal((3, 5, 8)).astype(np.float32))
            hidden = np.arange(5) >= np.array(lengths)[:, None]
            losses.append(run(x, cp.asarray(hidden), cp.asarray(np.array(lengths))).item())
        results.append((losses, model.state_dict()))
    (losses, weights), (of_compiled, others) = results
    assert len(set(losses)) == 3
    np.testing.assert_allclose(of_compiled, losses, rtol=1e-5)
    for name, weight in weights.items():
        np.testing.assert_allclose(others[name].numpy(), weight.numpy(), rtol=1e-4, atol=1e-5)
