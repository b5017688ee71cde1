"""What is kept for the backward pass, counted on graphs whose bytes are known by hand."""

from __future__ import annotations

import json

import clearprop as cp
from clearprop import functional, nn


def test_what_each_operation_keeps() -> None:
    """tanh and exp keep their outputs, a product its operands; parameters are there anyway."""
    w = cp.Parameter(cp.ones((3, 5)), name="w")
    with cp.record() as tape:
        h = cp.tanh(cp.ones((2, 3)) @ w)
        cp.sum(h * cp.exp(h)).backward()
    memory = tape.memory()
    kept = {share.of: share.nbytes for share in memory.operations}
    assert kept == {"matmul": 2 * 3 * 4, "tanh": 2 * 5 * 4, "exp": 2 * 5 * 4}  # kept twice
    assert memory.nbytes == sum(kept.values())
    assert sum(share.nbytes for share in memory.places) == memory.nbytes
    assert any("test_memory.py" in share.of for share in memory.places)


def test_views_and_arrays_kept_twice_count_once() -> None:
    x = cp.tensor(cp.ones((4, 6)), requires_grad=True)
    with cp.record() as tape:
        y = cp.exp(x)
        cp.sum(cp.reshape(y, (24,)) * 2.0 + cp.sin(cp.reshape(y, (24,))))
    assert tape.memory().nbytes == 4 * 6 * 4 + 4  # and the factor, a single number


def test_what_a_checkpoint_frees_and_costs() -> None:
    """Measured by one: the checkpoint keeps so much less, and computes so much more."""
    cp.random.seed(0)
    body = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 16))

    class Network(nn.Module):
        def __init__(self, *, with_checkpoint: bool) -> None:
            super().__init__()
            self.body, self.head, self.with_checkpoint = body, nn.Linear(16, 3), with_checkpoint

        def forward(self, x: cp.Tensor) -> cp.Tensor:
            return self.head(cp.tanh(cp.checkpoint(self.body)(x) if self.with_checkpoint else self.body(x)))

    def memory(*, with_checkpoint: bool) -> object:
        network = Network(with_checkpoint=with_checkpoint)
        with cp.record() as tape:
            x = cp.tensor(cp.ones((8, 16)), requires_grad=True)
            functional.cross_entropy(network(x), cp.zeros(8, dtype="int64"))
        return tape.memory()

    plain, less = memory(with_checkpoint=False), memory(with_checkpoint=True)
    advice = {one.module: one for one in plain.checkpoints}
    assert advice["body"].frees == 2 * 8 * 32 * 4  # the outputs of both tanh
    assert plain.nbytes - less.nbytes == advice["body"].frees
    products = 2 * 8 * (16 * 32 + 32 * 32 + 32 * 16)
    assert products <= advice["body"].flops < 1.2 * products
    assert next(iter(advice)) == "body"
    assert "body.1" not in advice  # what it computes is kept by the layer behind it
    assert advice["body"].flops < plain.flops


def test_as_text_and_for_machines() -> None:
    with cp.record() as tape:
        pass
    empty = tape.memory()
    assert empty.nbytes == 0
    assert "0 B are kept" in str(empty)
    cp.random.seed(0)
    model = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)) for _ in range(12)))
    x = cp.ones((2, 4))
    with cp.record() as tape:
        cp.sum(model(x)).backward()
    text = str(tape.memory())
    assert "… and 2 more" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    json.dumps(tape.memory().as_dict())
