"""GPT: only the past is seen, caching changes nothing, and it learns a text by heart."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cp
from clearprop import data, nn, optim, train
from clearprop.errors import RangeError, ShapeError, UsageError
from clearprop.models import GPT


def small(**arguments: int) -> GPT:
    cp.random.seed(0)
    return GPT(**{"vocabulary": 11, "context": 8, "width": 16, "heads": 2, "layers": 2} | arguments)


def test_a_single_block_is_the_formula() -> None:
    """One head, one block, written out with NumPy: norm, attention with turned queries and keys, norm, two layers."""
    model = small(heads=1, layers=1).eval()
    w = {name: tensor.numpy().astype(np.float64) for name, tensor in model.state_dict().items()}
    tokens = [4, 9, 0, 4]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + np.finfo(np.float32).eps) * w[name]

    def turned(x: np.ndarray) -> np.ndarray:
        angles = np.arange(len(x))[:, None] * 10000.0 ** (-np.arange(0, 16, 2) / 16)
        first, second = x[:, :8], x[:, 8:]
        return np.concatenate(
            [first * np.cos(angles) - second * np.sin(angles), second * np.cos(angles) + first * np.sin(angles)], 1
        )

    h = w["words.weight"][tokens]
    q, k, v = np.split(norm(h, "blocks.0.norm1.weight") @ w["blocks.0.attention.qkv.weight"], 3, axis=1)
    scores = np.where(np.tri(4, dtype=bool), turned(q) @ turned(k).T / 4.0, -np.inf)
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    h = h + shares @ v @ w["blocks.0.attention.joined.weight"]
    inner = norm(h, "blocks.0.norm2.weight") @ w["blocks.0.wide.weight"]
    gelu = cp.functional.gelu(cp.asarray(inner)).numpy()
    h = h + gelu @ w["blocks.0.narrow.weight"]
    expected = norm(h, "norm.weight") @ w["head.weight"]
    np.testing.assert_allclose(model(np.array([tokens])).numpy()[0].T, expected, atol=1e-5)


def test_what_comes_later_changes_nothing() -> None:
    model = small().eval()
    before, after = model(np.array([[1, 2, 3, 4, 5]])).numpy(), model(np.array([[1, 2, 3, 0, 0]])).numpy()
    np.testing.assert_allclose(before[..., :3], after[..., :3], atol=1e-7)
    assert np.abs(before[..., 3:] - after[..., 3:]).max() > 1e-4


def test_token_by_token_gives_what_the_whole_text_gives() -> None:
    model = small(context=7, heads=4, layers=3).eval()
    tokens = np.array([1, 10, 3, 3, 0, 7, 2])
    state, scores = model.start(), []
    for token in tokens:
        row, state = model.step(token, state)
        scores.append(row.numpy())
    np.testing.assert_allclose(scores, model(tokens[None]).numpy()[0].T, atol=1e-6)


def test_positions_count() -> None:
    """The same words in another order are another text, also for the word behind them."""
    model = small().eval()
    one, other = model(np.array([[1, 2, 3]])).numpy(), model(np.array([[2, 1, 3]])).numpy()
    assert np.abs(one[..., -1] - other[..., -1]).max() > 1e-6


def test_parameters_are_those_of_the_formula() -> None:
    width, vocabulary, layers = 24, 65, 3
    model = GPT(vocabulary, context=8, width=width, heads=3, layers=layers)
    block = 12 * width**2 + 2 * width
    assert sum(parameter.size for parameter in model.parameters()) == layers * block + 2 * vocabulary * width + width


def test_at_first_it_knows_nothing() -> None:
    model = small(vocabulary=65, width=32)
    tokens = np.random.default_rng(0).integers(0, 65, (8, 9))
    loss = nn.CrossEntropyLoss()(model(tokens[:, :-1]), cp.asarray(tokens[:, 1:])).item()
    assert loss == pytest.approx(np.log(65), abs=0.05)


def test_it_learns_a_text_by_heart() -> None:
    cp.random.seed(0)
    text = "she sells sea shells by the sea shore. " * 20
    windows = data.TextDataset(text, data.CharTokenizer.train(text), block_size=26)
    model = GPT(windows.tokenizer.vocab_size, context=26, width=32, heads=2, layers=2)
    history = train.fit(
        model, data.DataLoader(windows, batch_size=8, shuffle=True), loss=nn.CrossEntropyLoss(),
        optimizer=optim.AdamW(model.parameters(), lr=0.01), epochs=30, clip_grad_norm=1.0, progress=False,
    )  # fmt: skip
    assert history.column("loss")[-1] < 0.25


@pytest.mark.parametrize(
    ("tokens", "error", "says"),
    [
        ([1, 2], ShapeError, r"tokens have shape \(2,\)"),
        (np.zeros((2, 0), np.int64), ShapeError, "at least one token"),
        (np.zeros((2, 9), np.int64), ShapeError, "a text may have 8 tokens"),
        ([[1, 11]], RangeError, "11"),
    ],
)
def test_tokens_that_are_none(tokens: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        small()(tokens)


def test_settings_that_make_no_network() -> None:
    with pytest.raises(UsageError, match="cannot be divided into 3 heads") as caught:
        small(heads=3)
    assert "width=18" in str(caught.value)
    with pytest.raises(UsageError, match="layers=0"):
        small(layers=0)
