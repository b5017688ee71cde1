"""The Transformer from one sequence to another: what it may look at, what it writes, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, optim
from clearprop.errors import DataError, RangeError, ShapeError, UsageError
from clearprop.models import Seq2Seq

VOCABULARY = 9
SOURCES = np.array([[3, 4, 5, 6], [7, 8, 0, 0], [5, 0, 0, 0]])
TARGETS = np.array([[1, 6, 5, 4, 3], [1, 8, 7, 0, 0], [1, 5, 0, 0, 0]])


def network(**settings: Any) -> Seq2Seq:
    generator = cp.random.Generator(0)
    return Seq2Seq(
        VOCABULARY, **({"width": 16, "heads": 2, "layers": 2, "dropout": 0.0} | settings), generator=generator
    )


def test_no_token_looks_at_those_that_follow() -> None:
    model = network()
    changed = TARGETS.copy()
    changed[:, 3:] = 8
    before, after = (model(SOURCES, target).numpy() for target in (TARGETS, changed))
    np.testing.assert_allclose(before[:, :, :3], after[:, :, :3], atol=1e-6)
    assert not np.allclose(before[:, :, 3:], after[:, :, 3:], atol=1e-3)


def test_padding_of_the_source_changes_nothing() -> None:
    model = network()
    longer = np.pad(SOURCES, ((0, 0), (0, 3)))
    np.testing.assert_allclose(model(SOURCES, TARGETS).numpy(), model(longer, TARGETS).numpy(), atol=1e-5)
    np.testing.assert_allclose(
        model(SOURCES, TARGETS)[1].numpy(), model(SOURCES[1:2, :2], TARGETS[1:2])[0].numpy(), atol=1e-5
    )


def test_every_token_of_the_source_counts() -> None:
    model = network()
    for place in range(4):
        changed = SOURCES.copy()
        changed[0, place] = 8
        assert not np.allclose(model(SOURCES, TARGETS)[0].numpy(), model(changed, TARGETS)[0].numpy(), atol=1e-4)


def test_weights_of_the_attention_to_the_source() -> None:
    model = network()
    logits, weights = model.decode(TARGETS, model.encode(SOURCES), need_weights=True)
    assert (logits.shape, [w.shape for w in weights]) == ((3, VOCABULARY, 5), [(3, 2, 5, 4)] * 2)
    for looked in weights:
        np.testing.assert_allclose(looked.sum(axis=3).numpy(), 1, rtol=1e-5)
        assert not looked[1, :, :, 2:].numpy().any()  # padding


def test_parameters_are_counted() -> None:
    """As the paper builds it: one table for sources, targets and the last layer."""
    width, inner, vocabulary, layers = 32, 64, 100, 3
    model = Seq2Seq(vocabulary, width, heads=4, layers=layers, inner=inner)
    attention = 4 * (width * width + width)
    feed_forward = 2 * width * inner + inner + width
    encoder, decoder = attention + feed_forward + 4 * width, 2 * attention + feed_forward + 6 * width
    assert sum(p.size for p in model.parameters()) == vocabulary * width + layers * (encoder + decoder)
    assert (
        round((37_000 * 512 + 6 * (3 * 4 * 512 * 512 + 2 * 2 * 512 * 2048)) / 1e6) == 63
    )  # that formula, without biases


def test_a_compiled_step_is_the_eager_one_and_nothing_falls_back() -> None:
    found = []
    for compiled in (False, True):
        model = network(layers=1)
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(source: Any, target: Any, model: Seq2Seq = model, optimizer: optim.SGD = optimizer) -> Any:
            optimizer.zero_grad()
            loss = nn.CrossEntropyLoss(ignore_index=0)(model(source, target[:, :-1]), target[:, 1:])
            loss.backward()
            optimizer.step()
            return loss

        run = cp.compile(step) if compiled else step
        found.append([run(cp.asarray(SOURCES), cp.asarray(TARGETS)).item() for _ in range(4)])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)
    assert "computed by NumPy" not in run.report()


def test_it_learns_to_reverse_and_writes_what_it_has_learned() -> None:
    random = np.random.default_rng(0)
    model = network(layers=1, width=32)
    optimizer = optim.Adam(model.parameters(), lr=0.005)

    def batch(count: int) -> tuple[Any, Any]:
        source = np.zeros((count, 3), np.int64)
        target = np.zeros((count, 5), np.int64)
        target[:, 0] = 1
        for row in range(count):
            tokens = random.integers(3, VOCABULARY, random.integers(1, 4))
            source[row, : len(tokens)] = tokens
            target[row, 1 : len(tokens) + 2] = [*tokens[::-1], 2]
        return source, target

    @cp.compile
    def step(source: Any, target: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss(ignore_index=0)(model(source, target[:, :-1]), target[:, 1:])
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(400):
        step(*map(cp.asarray, batch(32)))
    source, target = batch(100)
    model.eval()
    written = model.greedy(source, 4)
    assert written.shape == (100, 4)
    assert (written == target[:, 1:]).all(axis=1).mean() > 0.95
    longer = model.greedy(source[:5], 9)
    np.testing.assert_array_equal(longer[:, :4], written[:5])
    assert not longer[:, 4:].any()  # behind the end there is padding


def test_greedy_writes_the_likeliest_token_each_time() -> None:
    """What it writes is what `decode` says is likeliest after what it has written."""
    model = network().eval()
    written = model.greedy(SOURCES, 6)
    begun = np.concatenate([np.ones((3, 1), np.int64), written[:, :-1]], axis=1)
    likeliest = model(SOURCES, begun).numpy().argmax(axis=1)
    for row, best in zip(written, likeliest, strict=True):
        upto = next((i + 1 for i, token in enumerate(row) if token == 2), len(row))
        np.testing.assert_array_equal(row[:upto], best[:upto])


def test_bad_input() -> None:
    model = network()
    with pytest.raises(ShapeError, match=r"source: tokens have shape \(2, 0\)"):
        model(np.zeros((2, 0), np.int64), TARGETS[:2])
    with pytest.raises(ShapeError, match=r"target: tokens have shape \(2, 0\)"):
        model(SOURCES[:2], np.zeros((2, 0), np.int64))
    with pytest.raises(ShapeError, match=r"source: tokens have shape \(4,\)"):
        model(SOURCES[0], TARGETS)
    with pytest.raises(DataError, match="source 1 is empty: it is padding throughout"):
        model(np.array([[3, 4], [0, 0]]), TARGETS[:2])
    with pytest.raises(RangeError, match="9, which is not one of 0 to 8"):
        model(np.array([[3, 9]]), TARGETS[:1])
    with pytest.raises(RangeError, match="-1"):
        model(SOURCES[:1], np.array([[1, -1]]))
    with pytest.raises(ShapeError, match="2 sources and 3 targets"):
        model(SOURCES[:2], TARGETS)
    with pytest.raises(UsageError, match="longest=0"):
        model.greedy(SOURCES, 0)


@pytest.mark.parametrize(
    "settings", [{"padding": 1}, {"end": 9}, {"begin": -1}, {"layers": 0}, {"heads": 3}, {"width": 15}]
)
def test_settings_that_do_not_fit(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        network(**settings)
