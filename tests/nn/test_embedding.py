"""Tables as modules: first values, padding, frozen rows, tied weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, optim
from clearprop.errors import RangeError, ShapeError, UsageError


class Model(nn.Module):
    """Words in, words out, by one matrix."""

    def __init__(self) -> None:
        self.words = nn.Embedding(5, 3, generator=cp.random.Generator(0))
        self.hidden = nn.Linear(3, 3, generator=cp.random.Generator(1))

    def forward(self, x: Any) -> Any:
        return self.words.as_linear(cp.functional.tanh(self.hidden(self.words(x))))


def test_first_rows_are_normal_and_that_of_the_padding_is_zero() -> None:
    table = nn.Embedding(500, 40, padding_idx=-1, generator=cp.random.Generator(0))
    assert table.padding_idx == 499
    values = table.weight.numpy()
    assert not values[499].any()
    assert abs(values[:499].std() - 1.0) < 0.02
    assert abs(values.mean()) < 0.02
    bag = nn.EmbeddingBag(5, 2, padding_idx=1)
    assert not bag.weight.numpy()[1].any()


def test_tied_weights_are_one_parameter_and_saved_once(tmp_path: Any) -> None:
    model = Model()
    assert [name for name, _ in model.named_parameters()] == ["words.weight", "hidden.weight", "hidden.bias"]
    cp.save(tmp_path / "model.safetensors", model.state_dict())
    assert sum(value.size for value in cp.load(tmp_path / "model.safetensors").values()) == 15 + 9 + 3
    other = Model()
    other.load_state_dict(cp.load(tmp_path / "model.safetensors"))
    np.testing.assert_array_equal(other([1, 2]).numpy(), model([1, 2]).numpy())


def test_gradients_of_both_uses_add_up() -> None:
    model = Model().to(cp.float64)

    def loss(table: Any) -> Any:
        return nn.functional_call(model, {"words.weight": table}, [1, 1, 4]).sum()

    cp.check_gradients(loss, np.cos(np.arange(15.0)).reshape(5, 3), order=2)


def test_a_tied_model_learns_what_follows_what() -> None:
    model = Model()
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    x, y = cp.tensor([0, 1, 2, 3, 4]), cp.tensor([1, 2, 3, 4, 0])
    for _ in range(100):
        optimizer.zero_grad()
        cp.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert model(x).argmax(axis=1).tolist() == y.tolist()


def test_given_rows() -> None:
    rows = np.arange(6.0).reshape(3, 2)
    frozen = nn.Embedding.from_pretrained(rows, padding_idx=0)
    assert frozen.weight.dtype == cp.float64
    assert not frozen([1]).requires_grad
    assert frozen([0]).tolist() == [[0.0, 1.0]]
    bag = nn.EmbeddingBag.from_pretrained(rows, freeze=False, mode="max")
    assert bag([[0, 2]]).requires_grad
    assert rows[0, 0] == 0.0
    with pytest.raises(ShapeError, match="no matrix"):
        nn.Embedding.from_pretrained([1.0])


def test_the_name_of_the_table_stands_in_graphs() -> None:
    assert cp.Graph(Model()([1])).leaves[0].name == "words.weight"


def test_printed() -> None:
    assert "Embedding(5, 2, padding_idx=1, max_norm=2.0)" in repr(nn.Embedding(5, 2, 1, 2.0))
    assert "EmbeddingBag(5, 2, mode='sum')" in repr(nn.EmbeddingBag(5, 2, mode="sum"))


def test_what_does_not_fit() -> None:
    with pytest.raises(RangeError, match="padding_idx=5 is not one of the rows 0 to 4"):
        nn.Embedding(5, 2, padding_idx=5)
    with pytest.raises(UsageError, match="num_embeddings=-1"):
        nn.Embedding(-1, 2)
    with pytest.raises(UsageError, match="mode='maximum'"):
        nn.EmbeddingBag(5, 2, mode="maximum")
    with pytest.raises(RangeError, match=r"embedding: x has 5, which is not one of 0 to 4: num_embeddings is 5"):
        nn.Embedding(5, 2)([1, 5])
