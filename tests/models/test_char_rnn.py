"""The character network: its equations, its shapes, and that it learns a text by heart."""

from __future__ import annotations

import numpy as np
import pytest

import clearprop as cp
from clearprop import data, nn, optim, train
from clearprop.errors import RangeError, ShapeError, UsageError
from clearprop.models import CharRNN


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def weights(model: CharRNN) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().astype(np.float64) for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_equations_one_step_after_the_other(cell: str) -> None:
    """Graves 2013, equations 7 to 11 without peepholes; Cho et al. 2014, equations 5 to 8 as PyTorch has them."""
    cp.random.seed(0)
    model = CharRNN(vocabulary=7, width=5, cell=cell).eval()
    tokens = [3, 0, 6, 6, 1]
    w = weights(model)
    h, c, scores = np.zeros(5), np.zeros(5), []
    for token in tokens:
        x = w["embedding.weight"][token] @ w["recurrent.weight_ih_l0"] + w["recurrent.bias_ih_l0"]
        own = h @ w["recurrent.weight_hh_l0"] + w["recurrent.bias_hh_l0"]
        if cell == "lstm":
            i, f, g, o = np.split(x + own, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            r, z = np.split(sigmoid(x[:10] + own[:10]), 2)
            n = np.tanh(x[10:] + r * own[10:])
            h = (1 - z) * n + z * h
        scores.append(h @ w["head.weight"] + w["head.bias"])
    np.testing.assert_allclose(model(np.array([tokens])).numpy()[0].T, scores, atol=2e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
def test_token_by_token_gives_what_the_whole_text_gives(cell: str, layers: int) -> None:
    model = CharRNN(vocabulary=11, width=6, layers=layers, cell=cell, dropout=0.5).eval()
    tokens = np.random.default_rng(0).integers(0, 11, 9)
    state, scores = model.start(), []
    for token in tokens:
        row, state = model.step(token, state)
        scores.append(row.numpy())
    np.testing.assert_allclose(scores, model(tokens[None]).numpy()[0].T, atol=1e-5)


def test_what_comes_later_changes_nothing() -> None:
    model = CharRNN(vocabulary=5, width=4).eval()
    before, after = model(np.array([[1, 2, 3, 4]])).numpy(), model(np.array([[1, 2, 0, 0]])).numpy()
    np.testing.assert_array_equal(before[..., :2], after[..., :2])
    assert (before[..., 2:] != after[..., 2:]).any()


def test_parameters_are_those_of_the_formula() -> None:
    width, vocabulary = 16, 65
    counts = {
        cell: sum(parameter.size for parameter in CharRNN(vocabulary, width, cell=cell).parameters())
        for cell in ("lstm", "gru")
    }
    outside = vocabulary * width + width * vocabulary + vocabulary
    assert counts == {"lstm": outside + 4 * (2 * width**2 + 2 * width), "gru": outside + 3 * (2 * width**2 + 2 * width)}


def test_forget_gates_keep_at_first() -> None:
    model = CharRNN(vocabulary=5, width=8, layers=2)
    for layer in range(2):
        bias = getattr(model.recurrent, f"bias_ih_l{layer}").numpy()
        assert (bias[8:16] == 1.0).all()
        assert (np.abs(np.delete(bias, np.s_[8:16])) <= 8**-0.5).all()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_it_learns_a_text_by_heart(cell: str) -> None:
    cp.random.seed(0)
    text = "she sells sea shells by the sea shore. " * 20
    windows = data.TextDataset(text, data.CharTokenizer.train(text), block_size=26)
    model = CharRNN(windows.tokenizer.vocab_size, width=32, cell=cell)
    history = train.fit(
        model, data.DataLoader(windows, batch_size=8, shuffle=True), loss=nn.CrossEntropyLoss(),
        optimizer=optim.AdamW(model.parameters(), lr=0.02), epochs=30, clip_grad_norm=1.0, progress=False,
    )  # fmt: skip
    assert history.column("loss")[-1] < 0.25


@pytest.mark.parametrize(
    ("tokens", "error", "says"),
    [
        ([1, 2], ShapeError, r"tokens have shape \(2,\)"),
        (np.zeros((2, 0), np.int64), ShapeError, "at least one token"),
        ([[1, 5]], RangeError, "5"),
        ([[-1, 2]], RangeError, "-1"),
    ],
)
def test_tokens_that_are_none(tokens: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        CharRNN(vocabulary=5, width=4)(tokens)


def test_settings_that_make_no_network() -> None:
    with pytest.raises(UsageError, match="cell='rnn'"):
        CharRNN(5, cell="rnn")
    with pytest.raises(UsageError, match="vocabulary=0"):
        CharRNN(0)
