"""Recurrent layers: ends of sequences, dropout, what they cost, what they learn, and what they refuse."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from tests.core.test_trace import check

import clearprop as cp
from clearprop import nn, optim
from clearprop.autodiff.loop import scan_node
from clearprop.errors import RangeError, UsageError

LAYERS = [nn.RNN, nn.LSTM, nn.GRU]
CELLS = [nn.RNNCell, nn.LSTMCell, nn.GRUCell]
LENGTHS = [3, 6, 1]


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def states(last: Any) -> tuple[Any, ...]:
    return last if isinstance(last, tuple) else (last,)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_batch_of_different_lengths_is_its_sequences_one_by_one(layer: Any, bidirectional: bool) -> None:
    net = layer(4, 5, num_layers=2, bidirectional=bidirectional, dtype=cp.float64)
    x = numbers(6, 3, 4)
    output, last = net(cp.asarray(x), lengths=LENGTHS)
    assert output.shape == (6, 3, 10 if bidirectional else 5)
    for i, length in enumerate(LENGTHS):
        alone, last_alone = net(cp.asarray(x[:length, i]))
        np.testing.assert_allclose(output.numpy()[:length, i], alone.numpy(), rtol=1e-12)
        assert not output.numpy()[length:, i].any()
        for part, part_alone in zip(states(last), states(last_alone), strict=True):
            np.testing.assert_allclose(part.numpy()[:, i], part_alone.numpy(), rtol=1e-12)


@pytest.mark.parametrize("layer", LAYERS)
def test_what_stands_behind_the_end_does_not_matter_even_if_it_is_nan(layer: Any) -> None:
    found = []
    for filling in (0.0, np.nan):
        cp.random.seed(1)
        net = layer(4, 5, bidirectional=True, dtype=cp.float64)
        x = numbers(6, 3, 4)
        for i, length in enumerate(LENGTHS):
            x[length:, i] = filling
        leaf = cp.tensor(x, requires_grad=True)
        output, last = net(leaf, lengths=np.array(LENGTHS))
        (output.sum() + states(last)[0].sum()).backward()
        found.append([output.numpy(), leaf.grad.numpy(), *(p.grad.numpy() for p in net.parameters())])  # type: ignore[union-attr]
    for plain, with_nan in zip(*found, strict=True):
        np.testing.assert_array_equal(plain, with_nan)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_is_its_cell_step_by_step(layer: Any) -> None:
    net = layer(4, 5, dtype=cp.float64)
    cell = getattr(nn, f"{layer.__name__}Cell")(4, 5, dtype=cp.float64)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in net.state_dict().items()})
    x = cp.asarray(numbers(6, 3, 4))
    output, _ = net(x)
    state = None
    for t in range(6):
        state = cell(x[t], state)
        np.testing.assert_allclose(output.numpy()[t], states(state)[0].numpy(), rtol=1e-12)


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_to_second_order(layer: Any) -> None:
    net = layer(2, 2, bidirectional=True, dtype=cp.float64)

    def f(x: Any, *values: Any) -> Any:
        named = dict(zip([name for name, _ in net.named_parameters()], values, strict=True))
        output, last = nn.functional_call(net, named, x, lengths=[3, 2])
        return (output * output).sum() + states(last)[-1].sum()

    cp.check_gradients(f, numbers(3, 2, 2), *[p.numpy() for p in net.parameters()], order=2)


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_of_each_sequence_and_recomputed_ones(layer: Any) -> None:
    net = layer(3, 4, dtype=cp.float64)
    x = cp.asarray(numbers(5, 6, 3))

    def loss(values: Any, x: Any) -> Any:
        output, _ = nn.functional_call(net, values, x)
        return (output * output).sum()

    values = {name: p.value.detach() for name, p in net.named_parameters()}
    each = cp.vmap(cp.grad(loss), in_axes=(None, 1))(values, x)  # sequences one by one, without a batch axis
    whole = cp.grad(cp.checkpoint(loss))(values, x)
    for name, gradient in whole.items():
        assert each[name].shape == (6, *gradient.shape)
        np.testing.assert_allclose(each[name].numpy().sum(0), gradient.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layer", LAYERS)
def test_traced_it_is_the_same_with_one_loop_for_each_direction(layer: Any) -> None:
    net = layer(3, 4, num_layers=2, bidirectional=True, dtype=cp.float64)

    def loss(x: Any, lengths: Any) -> Any:
        output, last = net(x, lengths=lengths)
        return (output * output).sum() + states(last)[-1].sum()

    program = check(cp.value_and_grad(loss), numbers(6, 3, 3), np.array(LENGTHS)).program
    loops = sum(node.primitive is scan_node for node in program.order)
    assert loops == 2 * 2 * 2  # layers, directions, and each once forward and once backward


def test_dropout_stands_between_the_layers_and_only_in_training() -> None:
    x = cp.ones((4, 2, 3))
    for count, differs in ((1, False), (3, True)):
        net = nn.GRU(3, 8, num_layers=count, dropout=0.5)
        quiet = net.eval()(x)[0].numpy()
        noisy = net.train()(x)[0].numpy()
        assert (quiet != noisy).any() == differs
        assert (noisy != 0.0).all()  # the outputs of the last layer are not dropped
        cp.random.seed(4)
        first = net(x)[0].numpy()
        cp.random.seed(4)
        np.testing.assert_array_equal(first, net(x)[0].numpy())


@pytest.mark.parametrize(("layer", "nodes"), [(nn.RNN, 5), (nn.LSTM, 17), (nn.GRU, 17)])
def test_the_input_is_multiplied_once_and_a_step_has_few_nodes(layer: Any, nodes: int) -> None:
    net = layer(3, 4)

    def graph(steps: int) -> Any:
        return Counter(node.name for node in cp.Graph(net(cp.ones((steps, 2, 3)))[0]).nodes)

    six, seven = graph(6), graph(7)
    assert six["matmul"] == 6 + 1
    assert (seven - six).total() == nodes


@pytest.mark.parametrize("make", [*LAYERS, *CELLS])
def test_first_values_are_uniform_and_seeded(make: Any) -> None:
    cp.random.seed(0)
    net = make(100, 144)
    values = np.concatenate([p.numpy().ravel() for p in net.parameters()]) * 12.0  # ±1/√144
    assert -1.0 <= values.min() < -0.999
    assert 0.999 < values.max() <= 1.0
    assert abs(values.std() - 3.0**-0.5) < 5e-3
    again = make(100, 144, generator=cp.random.Generator(0))
    for one, other in zip(net.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_names_and_print() -> None:
    net = nn.LSTM(3, 8, num_layers=2, batch_first=True, bidirectional=True, proj_size=4)
    names = [name for name, _ in net.named_parameters()]
    assert names[:6] == [
        "weight_ih_l0",
        "weight_hh_l0",
        "bias_ih_l0",
        "bias_hh_l0",
        "weight_hr_l0",
        "weight_ih_l0_reverse",
    ]
    assert net.weight_ih_l1.shape == (8, 32)  # type: ignore[attr-defined]
    assert str(net).startswith("LSTM(3, 8, num_layers=2, batch_first=True, bidirectional=True, proj_size=4)")
    assert str(nn.RNN(3, 8, nonlinearity="relu")).startswith("RNN(3, 8, nonlinearity='relu')")
    assert str(nn.GRUCell(3, 8, bias=False)).startswith("GRUCell(3, 8, bias=False)")
    assert str(nn.RNNCell(3, 8, nonlinearity="relu")).startswith("RNNCell(3, 8, nonlinearity='relu')")


def test_a_batch_of_none() -> None:
    output, h = nn.GRU(3, 4)(cp.ones((5, 0, 3)))
    assert (output.shape, h.shape) == ((5, 0, 4), (1, 0, 4))


X32 = cp.ones((5, 2, 3))
LSTM, GRU = nn.LSTM(3, 4), nn.GRU(3, 4, batch_first=True)


@pytest.mark.parametrize(
    ("call", "error", "what"),
    [
        (lambda: LSTM(cp.ones((0, 2, 3))), cp.ShapeError, r"\(0, 2, 3\): a sequence must have at least one step"),
        (lambda: GRU(cp.ones((2, 0, 3))), cp.ShapeError, "at least one step"),
        (lambda: LSTM(cp.ones((0, 3))), cp.ShapeError, "at least one step"),
        (lambda: LSTM(cp.ones((5, 2, 4))), cp.ShapeError, r"LSTM: input has shape \(5, 2, 4\); it must be \(T, N, 3\)"),
        (lambda: GRU(cp.ones(3)), cp.ShapeError, r"it must be \(N, T, 3\), or \(T, 3\)"),
        (lambda: LSTM(X32.astype(cp.float64)), cp.DTypeError, "input is float64, the parameters are float32"),
        (lambda: LSTM(cp.ones((5, 2, 3), dtype=cp.int64)), cp.DTypeError, "nn.Embedding"),
        (lambda: LSTM(X32, cp.ones((1, 2, 4))), cp.ShapeError, r"a pair \(h, c\), not a tensor of shape \(1, 2, 4\)"),
        (lambda: GRU(X32, (cp.ones((1, 5, 4)),)), cp.ShapeError, "hx must be one tensor, not tuple of 1"),
        (lambda: GRU(X32, cp.ones((1, 2, 4))), cp.ShapeError, r"hx has shape \(1, 2, 4\); .* must be \(1, 5, 4\)"),
        (lambda: LSTM(X32, (cp.ones((1, 2, 4)), cp.ones((1, 2, 3)))), cp.ShapeError, r"c has shape \(1, 2, 3\)"),
        (lambda: GRU(X32, cp.ones((1, 5, 4), dtype=cp.float64)), cp.DTypeError, "hx is float64"),
        (lambda: LSTM(X32, lengths=[5, 6]), RangeError, r"lengths\[1\] is 6; the input has 5 steps"),
        (lambda: LSTM(X32, lengths=[0, 5]), RangeError, r"lengths\[0\] is 0"),
        (lambda: LSTM(X32, lengths=[5]), cp.ShapeError, "one for each of 2 sequences"),
        (lambda: LSTM(X32, lengths=[5.0, 1.0]), cp.DTypeError, "lengths are float32; they must be whole numbers"),
        (lambda: nn.GRUCell(3, 4)(X32), cp.ShapeError, "nn.GRU takes whole sequences"),
        (lambda: nn.LSTMCell(3, 4)(X32[0], cp.ones((2, 4))), cp.ShapeError, "a pair"),
        (lambda: nn.RNNCell(3, 4)(X32[0], cp.ones((3, 4))), cp.ShapeError, r"must be \(2, 4\)"),
        (lambda: nn.LSTM(3, 0), UsageError, "hidden_size=0"),
        (lambda: nn.LSTM(3, 4, num_layers=0), UsageError, "num_layers=0"),
        (lambda: nn.LSTM(3.0, 4), UsageError, "input_size=3.0"),  # type: ignore[arg-type]
        (lambda: nn.LSTM(3, 4, dropout=1.5), UsageError, "dropout=1.5"),
        (lambda: nn.LSTM(3, 4, proj_size=4), UsageError, "proj_size=4"),
        (lambda: nn.RNN(3, 4, nonlinearity="gelu"), UsageError, "'gelu'"),
        (lambda: nn.RNNCell(3, 4, nonlinearity="gelu"), UsageError, "'gelu'"),
    ],
)
def test_what_does_not_fit(call: Any, error: Any, what: str) -> None:
    with pytest.raises(error, match=what):
        call()


class Recaller(nn.Module):
    """Says at the end which symbol came first."""

    def __init__(self, layer: Any) -> None:
        self.body = layer(6, 24, batch_first=True)
        self.head = nn.Linear(24, 4)

    def forward(self, x: Any, lengths: Any) -> Any:
        _, last = self.body(x, lengths=lengths)
        return self.head(states(last)[0][-1])


def recall_task(count: int, seed: int) -> tuple[Any, Any, Any]:
    """One of four symbols, then a number of two distracting ones: inputs one-hot, the lengths, the first symbol."""
    random = np.random.default_rng(seed)
    symbols = random.integers(4, 6, (count, 12))
    symbols[:, 0] = random.integers(0, 4, count)
    return cp.asarray(np.eye(6, dtype=np.float32)[symbols]), random.integers(4, 13, count), cp.asarray(symbols[:, 0])


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU])
def test_remembering_the_first_symbol(layer: Any) -> None:
    cp.random.seed(0)
    model = Recaller(layer)
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    for step in range(80):
        x, lengths, first = recall_task(32, seed=step)
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(x, lengths), first).backward()
        optimizer.step()
    x, lengths, first = recall_task(200, seed=1000)
    assert (model(x, lengths).numpy().argmax(1) == first.numpy()).mean() >= 0.99
