"""Attention with several heads, positions and the Transformer as modules: what cannot be read off PyTorch's figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.core.test_trace import check

import clearprop as cp
from clearprop import nn, optim
from clearprop.errors import DataError, UsageError

LAYER = {"d_model": 4, "nhead": 2, "dim_feedforward": 6, "dtype": cp.float64}


def numbers(*shape: int, seed: int = 0) -> Any:
    return cp.asarray(np.random.default_rng(seed).standard_normal(shape))


def test_causal_needs_no_mask_and_hides_the_future() -> None:
    attention = nn.MultiheadAttention(4, 2, dtype=cp.float64)
    x = numbers(5, 3, 4)
    causal, weights = attention(x, x, x, is_causal=True, need_weights=True)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=cp.float64)
    np.testing.assert_allclose(causal.numpy(), attention(x, x, x, attn_mask=mask)[0].numpy(), rtol=1e-12)
    np.testing.assert_allclose(
        causal.numpy(), attention(x, x, x, attn_mask=mask, is_causal=True)[0].numpy(), rtol=1e-12
    )
    assert not np.triu(weights.numpy(), 1).any()
    changed = x.at[3:].set(7.0)
    again, _ = attention(changed, changed, changed, is_causal=True)
    np.testing.assert_array_equal(again.numpy()[:3], causal.numpy()[:3])


def test_weights_are_returned_when_they_are_asked_for() -> None:
    attention, x = nn.MultiheadAttention(4, 2, batch_first=True), cp.ones((3, 5, 4))
    assert attention(x, x, x)[1] is None
    assert attention(x, x, x, need_weights=True)[1].shape == (3, 5, 5)
    _, weights = attention(x, x, x, need_weights=True, average_attn_weights=False)
    assert weights.shape == (3, 2, 5, 5)
    np.testing.assert_allclose(weights.numpy().sum(-1), 1.0, rtol=1e-6)


def test_one_product_for_what_comes_from_one_tensor() -> None:
    attention = nn.MultiheadAttention(4, 2)
    x, memory, values = cp.ones((5, 3, 4)), cp.ones((6, 3, 4)), cp.ones((6, 3, 4))

    def products(*inputs: Any) -> int:
        return sum(node.name == "matmul" for node in cp.Graph(attention(*inputs)[0]).nodes)

    others = 3  # scores, means, output
    assert products(x, x, x) == 1 + others
    assert products(x, memory, memory) == 2 + others
    assert products(x, memory, values) == 3 + others


def test_padding_does_not_matter_even_if_it_is_large() -> None:
    layer = nn.TransformerEncoderLayer(**LAYER, dropout=0.0, batch_first=True)
    x, hidden = numbers(2, 5, 4), np.array([[False] * 5, [False] * 3 + [True] * 2])
    found = layer(x, src_key_padding_mask=hidden)
    other = layer(x.at[1, 3:].set(1e3), src_key_padding_mask=hidden)
    np.testing.assert_array_equal(found.numpy()[1, :3], other.numpy()[1, :3])
    np.testing.assert_allclose(found.numpy()[1, :3], layer(x[1:, :3]).numpy()[0], rtol=1e-12)


def test_dropout_of_the_weights_is_seeded_and_rests_in_evaluation() -> None:
    attention, x = nn.MultiheadAttention(4, 2, dropout=0.5), numbers(6, 2, 4).astype(cp.float32)
    results = []
    for _ in range(2):
        cp.random.seed(1)
        results.append(attention(x, x, x)[0].numpy())
    np.testing.assert_array_equal(*results)
    quiet = attention.eval()(x, x, x)[0].numpy()
    assert (quiet != results[0]).any()
    np.testing.assert_array_equal(quiet, attention(x, x, x)[0].numpy())


def test_with_rotary_positions_only_distances_count() -> None:
    plain = nn.MultiheadAttention(8, 2, dtype=cp.float64)
    turned = nn.MultiheadAttention(8, 2, rotary=nn.RotaryPositions(), dtype=cp.float64)
    turned.load_state_dict(plain.state_dict())
    x = numbers(6, 8)
    order = [3, 1, 5, 0, 4, 2]

    def without_order(attention: Any) -> bool:
        shuffled = attention(x[order], x[order], x[order])[0].numpy()
        return np.allclose(shuffled, attention(x, x, x)[0].numpy()[order], rtol=1e-10)

    assert without_order(plain)
    assert not without_order(turned)
    # Elements in front that nobody looks at move all the others on: the distances are the same.
    longer, hidden = cp.concat([numbers(3, 8, seed=1), x]), [True] * 3 + [False] * 6
    moved, _ = turned(longer, longer, longer, key_padding_mask=hidden)
    np.testing.assert_allclose(moved.numpy()[3:], turned(x, x, x)[0].numpy(), rtol=1e-9)


def test_positions_are_added_in_either_layout() -> None:
    waves = cp.functional.sinusoidal_positions(5, 4).numpy()
    learned = nn.LearnedPositions(8, 4)
    for module, table in ((nn.SinusoidalPositions(4), waves), (learned, learned.weight.numpy()[:5])):
        np.testing.assert_array_equal(module(cp.zeros((5, 4))).numpy(), table)
        np.testing.assert_array_equal(module(cp.zeros((5, 2, 4))).numpy()[:, 1], table)
        module.batch_first = True
        np.testing.assert_array_equal(module(cp.zeros((2, 5, 4))).numpy()[1], table)
    learned(cp.zeros((2, 5, 4))).sum().backward()
    np.testing.assert_array_equal(learned.weight.grad.numpy(), np.repeat([2.0, 0.0], [5, 3])[:, None] * np.ones(4))  # type: ignore[union-attr]


def test_first_values() -> None:
    cp.random.seed(0)
    attention = nn.MultiheadAttention(64, 4, add_bias_kv=True)
    bound = np.sqrt(6.0 / (64 + 3 * 64))
    weights = attention.in_proj_weight.numpy()  # type: ignore[union-attr]
    assert 0.99 * bound < np.abs(weights).max() <= bound
    assert not attention.in_proj_bias.numpy().any()  # type: ignore[union-attr]
    assert not attention.out_proj.bias.numpy().any()  # type: ignore[union-attr]
    assert abs(attention.bias_k.numpy().std() * 8.0 - 1.0) < 0.2  # type: ignore[union-attr]
    again = nn.MultiheadAttention(64, 4, add_bias_kv=True, generator=cp.random.Generator(0))
    for one, other in zip(attention.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_layers_of_a_stack_are_copies_and_those_of_a_transformer_are_drawn_anew() -> None:
    stack = nn.TransformerEncoder(nn.TransformerEncoderLayer(**LAYER), 2)
    first, second = (dict(layer.named_parameters()) for layer in stack.layers)
    for name, parameter in first.items():
        assert parameter is not second[name]
        np.testing.assert_array_equal(parameter.numpy(), second[name].numpy())
    assert next(name for name, _ in stack.named_parameters()) == "layers.0.self_attn.in_proj_weight"
    whole = nn.Transformer(4, 2, 2, 2, 6)
    for stacked in (whole.encoder, whole.decoder):
        one, other = stacked.layers  # type: ignore[attr-defined]
        assert (one.linear1.weight.numpy() != other.linear1.weight.numpy()).all()


def test_print() -> None:
    text = str(nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True), 1))
    assert "TransformerEncoderLayer(norm_first=True)" in text
    assert "MultiheadAttention(8, 2, dropout=0.1, batch_first=True)" in text
    assert str(nn.RotaryPositions(500.0, interleaved=True)).startswith("RotaryPositions(base=500.0, interleaved=True)")


def test_gradients_to_second_order() -> None:
    layer = nn.TransformerEncoderLayer(2, 1, 3, dropout=0.0, activation="gelu", dtype=cp.float64)
    names = [name for name, _ in layer.named_parameters()]

    def f(x: Any, *values: Any) -> Any:
        return nn.functional_call(layer, dict(zip(names, values, strict=True)), x, is_causal=True)

    cp.check_gradients(f, numbers(3, 2, 2).numpy(), *[p.numpy() for p in layer.parameters()], order=2)


def test_gradients_of_each_example_and_recomputed_ones() -> None:
    model = nn.Transformer(4, 2, 1, 1, 6, dropout=0.0, batch_first=True, dtype=cp.float64)
    source, target = numbers(3, 5, 4), numbers(3, 4, 4, seed=1)

    def loss(values: Any, source: Any, target: Any) -> Any:
        output = nn.functional_call(model, values, source, target, tgt_is_causal=True)
        return (output * output * output).sum()

    values = {name: p.value.detach() for name, p in model.named_parameters()}
    each = cp.vmap(cp.grad(loss), in_axes=(None, 0, 0))(values, source, target)
    whole = cp.grad(cp.checkpoint(loss))(values, source, target)
    for name, gradient in whole.items():
        np.testing.assert_allclose(each[name].numpy().sum(0), gradient.numpy(), rtol=1e-9, atol=1e-11)


def test_a_traced_transformer_is_the_same() -> None:
    model = nn.Transformer(4, 2, 1, 1, 6, batch_first=True, dtype=cp.float64).eval()
    hidden = np.array([[False] * 5, [False] * 3 + [True] * 2])

    def f(source: Any, target: Any, hidden: Any) -> Any:
        masks = {"src_key_padding_mask": hidden, "memory_key_padding_mask": hidden}
        return model(source, target, tgt_is_causal=True, **masks)

    check(f, numbers(2, 5, 4).numpy(), numbers(2, 4, 4, seed=1).numpy(), hidden)


A = nn.MultiheadAttention(4, 2)
X, LONG = cp.ones((3, 2, 4)), cp.ones((5, 2, 4))


@pytest.mark.parametrize(
    ("call", "error", "what"),
    [
        (lambda: nn.MultiheadAttention(10, 3), UsageError, "embed_dim=10 cannot be divided into 3 heads"),
        (lambda: nn.MultiheadAttention(4, 0), UsageError, "num_heads=0"),
        (lambda: nn.MultiheadAttention(4, 2, dropout=2.0), UsageError, "dropout=2.0"),
        (lambda: nn.MultiheadAttention(6, 2, rotary=nn.RotaryPositions()), UsageError, "odd"),
        (
            lambda: A(X, X, LONG),
            cp.ShapeError,
            r"value \(5, 2, 4\); they must be \(L, N, 4\), \(S, N, 4\), \(S, N, 4\)",
        ),
        (lambda: A(X, cp.ones((3, 1, 4)), cp.ones((3, 1, 4))), cp.ShapeError, "batch_first=True"),
        (lambda: A(X[..., :3], X, X), cp.ShapeError, r"query has shape \(3, 2, 3\)"),
        (lambda: A(X[:0], X, X), cp.ShapeError, "at least one element"),
        (lambda: A(X, X[:0], X[:0]), cp.ShapeError, "at least one element"),
        (lambda: A(X, X.astype(cp.float64), X), cp.DTypeError, "key is float64, not float32"),
        (lambda: A(*[cp.ones((3, 2, 4), dtype=cp.int64)] * 3), cp.DTypeError, "nn.Embedding"),
        (lambda: A(X, X, X, np.zeros((3, 2), bool)), cp.ShapeError, r"shape \(3, 2\); it must be \(2, 3\)"),
        (lambda: A(X, X, X, attn_mask=np.zeros((2, 3, 3), bool)), cp.ShapeError, r"\(3, 3\) or \(4, 3, 3\)"),
        (lambda: A(X, X, X, attn_mask=np.zeros((3, 3), int)), cp.DTypeError, "True where a query may not look"),
        (lambda: A(X, X, X, np.array([[0, 0, 0], [1, 1, 1]]) > 0), DataError, "key_padding_mask .* of example 1"),
        (lambda: A(X, X, X, attn_mask=np.ones((3, 3), bool)), DataError, "attn_mask hides every key"),
        (lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"), UsageError, "'tanh'"),
        (lambda: nn.TransformerEncoderLayer(4, 3), UsageError, "cannot be divided into 3 heads"),
        (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer, 2), UsageError, "is not a layer"),  # type: ignore[arg-type]
        (lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2), 1.5), UsageError, "num_layers=1.5"),  # type: ignore[arg-type]
        (lambda: nn.Transformer(4, 2, 1, 1, 6)(X, cp.ones((3, 1, 4))), cp.ShapeError, r"tgt has shape \(3, 1, 4\)"),
        (lambda: nn.Transformer(8, 2, 1, 1, 6)(X, X), cp.ShapeError, r"\(S, N, 8\) and \(T, N, 8\)"),
        (lambda: nn.SinusoidalPositions(3), UsageError, "dim=3"),
        (lambda: nn.SinusoidalPositions(6)(X), cp.ShapeError, r"it must be \(T, N, 6\)"),
        (lambda: nn.SinusoidalPositions(4)(X.astype(cp.int64)), cp.DTypeError, "nn.Embedding"),
        (lambda: nn.LearnedPositions(2, 4)(X), cp.ShapeError, "3 steps; there are positions for 2"),
    ],
)
def test_what_does_not_fit(call: Any, error: Any, what: str) -> None:
    with pytest.raises(error, match=what):
        call()


class Reverser(nn.Module):
    """Writes a sequence of digits backwards."""

    def __init__(self, symbols: int, dim: int) -> None:
        self.embed = nn.Embedding(symbols + 1, dim)  # the last one begins the target
        self.positions = nn.SinusoidalPositions(dim, batch_first=True)
        self.body = nn.Transformer(dim, 2, 1, 1, 2 * dim, dropout=0.0, batch_first=True, norm_first=True)
        self.head = nn.Linear(dim, symbols)

    def forward(self, source: Any, target: Any) -> Any:
        source, target = (self.positions(self.embed(x)) for x in (source, target))
        return self.head(self.body(source, target, tgt_is_causal=True))


def test_a_transformer_learns_to_reverse() -> None:
    cp.random.seed(0)
    random, symbols, length = np.random.default_rng(0), 6, 5
    model = Reverser(symbols, 32)
    optimizer = optim.Adam(model.parameters(), lr=5e-3)

    def draw(count: int) -> tuple[Any, Any, Any]:
        """Sources, what the decoder is shown, and what it shall say."""
        source = random.integers(0, symbols, (count, length))
        wanted = source[:, ::-1]
        shown = np.concatenate([np.full((count, 1), symbols), wanted[:, :-1]], axis=1)
        return source, shown, wanted

    for _ in range(150):
        source, shown, wanted = draw(32)
        optimizer.zero_grad()
        logits = model(source, shown)
        nn.CrossEntropyLoss()(logits.reshape(-1, symbols), wanted.reshape(-1)).backward()
        optimizer.step()
    source, _, wanted = draw(100)
    written = np.full((100, 1), symbols)  # one digit after the other, from what it has written itself
    with cp.no_grad():
        for _ in range(length):
            following = model(source, written).numpy()[:, -1].argmax(-1)
            written = np.concatenate([written, following[:, None]], axis=1)
    assert (written[:, 1:] == wanted).mean() >= 0.98
