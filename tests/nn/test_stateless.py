"""functional_call where somebody watches the cells: in compiled and in recomputed functions."""

from __future__ import annotations

from typing import Any

import numpy as np

import clearprop as cp
from clearprop import nn


def test_a_compiled_function_computes_with_the_values_it_gives() -> None:
    """Reading a parameter was taken for reading its own value, and left a symbol in it."""
    model = nn.Linear(1, 1)
    model.weight.assign([[2.0]])
    model.bias.assign([7.0])  # type: ignore[union-attr]

    def f(weight: Any, x: Any) -> Any:
        changed = nn.functional_call(model, {"weight": weight}, x)
        return changed, model(x)

    compiled = cp.compile(f, executor="reference")
    for own in (2.0, 3.0):  # read where the call is over, and the bias in it, they are the module's own of that moment
        model.weight.assign([[own]])
        changed, plain = compiled(cp.tensor([[5.0]]), cp.tensor([[1.0]]))
        assert (changed.item(), plain.item()) == (5.0 + 7.0, own + 7.0)
        assert model.weight.item() == own


def test_gradients_in_a_compiled_function() -> None:
    model = nn.BatchNorm1d(2)
    x = cp.asarray(np.array([[1.0, -2.0], [4.0, 3.0], [0.0, 1.0]], np.float32))

    def f(values: Any, x: Any) -> Any:
        output = nn.functional_call(model, values, x)
        return (output * output * output).sum()

    values = {name: value * 2.0 for name, value in model.state_dict().items() if value.dtype.is_floating}
    wanted = cp.grad(lambda weight: f({**values, "weight": weight}, x))(values["weight"])
    found = cp.compile(
        lambda weight, x: cp.grad(lambda w: f({**values, "weight": w}, x))(weight), executor="reference"
    )(values["weight"], x)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-5)
    assert model.running_mean.numpy().tolist() == [0.0, 0.0]  # type: ignore[union-attr]


def test_a_recomputed_call_has_the_values_again() -> None:
    model = nn.Linear(2, 1, bias=False)

    def loss(weight: Any) -> Any:
        return (nn.functional_call(model, {"weight": weight}, cp.ones((3, 2))) ** 2).sum()

    weight = cp.tensor([[1.0], [2.0]])
    np.testing.assert_array_equal(cp.grad(cp.checkpoint(loss))(weight).numpy(), cp.grad(loss)(weight).numpy())
