"""The learning-rate range test: what it finds, and that nothing has happened afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.train.networks import blobs, mlp
from tests.train.small import assert_same_weights, fit, make, weights

import clearprop as cp
from clearprop import nn, optim, train
from clearprop.data import ArrayDataset, DataLoader
from clearprop.errors import DataError, DivergenceError, UsageError
from clearprop.train import LRRangeTest


def found(optimizer: Any = None, *, compile: bool | None = None, **more: Any) -> Any:
    cp.random.seed(0)
    model = mlp(16, 32, 4)
    made = (optimizer or (lambda p: optim.SGD(p, lr=0.123)))(model.parameters())
    data = DataLoader(ArrayDataset(*blobs(256)), batch_size=32, shuffle=True)
    settings = {"loss": nn.CrossEntropyLoss(), "optimizer": made, "progress": False, "compile": compile}
    return train.lr_range_test(model, data, **settings | more)


@pytest.mark.parametrize("compile", [None, False])
def test_nothing_has_happened(compile: bool | None) -> None:
    """Dropout with two generators, batch normalization, momenta, two groups, a loader in the middle of an epoch."""
    arguments = make()
    model = nn.Sequential(arguments["model"], nn.BatchNorm1d(10))
    optimizer = optim.AdamW(
        [{"params": arguments["model"].parameters(), "lr": 0.01}, {"params": model[1].parameters(), "lr": 0.02}]
    )
    data = arguments["data"]
    loss = nn.CrossEntropyLoss()
    for inputs, target in [next(iter(data))] * 3:
        loss(model(inputs), target).backward()
        optimizer.step()
    gradients = [p.grad.numpy().copy() for p in model.parameters() if p.grad is not None]
    data.load_state_dict({**data.state_dict(), "epoch": 2, "position": 3})
    model[1].eval()

    def all_of_it() -> Any:
        generators = arguments["model"][4].generator.state_dict(), cp.random.default_generator.state_dict()
        modes = [module.training for module in model.modules()]
        return optimizer.state_dict()["param_groups"], data.state_dict(), generators, modes

    before, held, moments = all_of_it(), weights(model), optimizer.state_dict()["state"]
    result = train.lr_range_test(model, data, loss=loss, optimizer=optimizer, steps=30, compile=compile, progress=False)
    assert len(result.losses) > 5
    assert all_of_it() == before
    assert_same_weights(weights(model), held)
    after = optimizer.state_dict()["state"]
    assert_same_weights({k: v.numpy() for k, v in after.items()}, {k: v.numpy() for k, v in moments.items()})
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert parameter.grad is not None
        np.testing.assert_array_equal(parameter.grad.numpy(), gradient)


def test_training_afterwards_is_as_if_there_had_been_none() -> None:
    one, other = make(epochs=1), make(epochs=1)
    train.lr_range_test(other["model"], other["data"], loss=other["loss"], optimizer=other["optimizer"], progress=False)
    cp.random.seed(3)
    fit(one)
    cp.random.seed(3)
    fit(other)
    assert_same_weights(weights(one["model"]), weights(other["model"]))


def test_it_ends_where_the_loss_grows() -> None:
    result = found(highest=1e4)
    assert not result.complete
    assert result.rates[-1] < 1e4
    assert result.lowest_at < result.diverges_at <= result.rates[-1]
    assert result.suggestion < result.lowest_at


@pytest.mark.parametrize("make_optimizer", [lambda p: optim.SGD(p, lr=1.0), lambda p: optim.Adam(p)])
def test_the_suggestion_trains_well(make_optimizer: Any) -> None:
    suggestion = found(make_optimizer).suggestion
    final = {}
    for lr in (suggestion, suggestion / 100):
        cp.random.seed(0)
        model = mlp(16, 32, 4)
        optimizer = make_optimizer(model.parameters())
        optimizer.param_groups[0]["lr"] = lr
        data = DataLoader(ArrayDataset(*blobs(256)), batch_size=32, shuffle=True)
        history = train.fit(model, data, loss=nn.CrossEntropyLoss(), optimizer=optimizer, epochs=2, progress=False)
        final[lr] = history.epochs[-1]["loss"]
    assert final[suggestion] < 0.5 * final[suggestion / 100]


def test_rates_grow_by_a_factor_and_groups_keep_their_ratio() -> None:
    seen: list[Any] = []
    model = mlp(16, 8, 4)
    optimizer = optim.SGD([{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.3}], lr=0.1)

    def loss(output: Any, target: Any) -> Any:
        seen.append([group["lr"] for group in optimizer.param_groups])
        return nn.CrossEntropyLoss()(output, target)

    x, y = blobs(32)
    result = train.lr_range_test(model, [(x, y)], loss=loss, optimizer=optimizer, lowest=1e-4, highest=1e-1, steps=31,
                                 compile=False, progress=False)  # fmt: skip
    assert result.complete  # a list of one batch, gone through again and again
    np.testing.assert_allclose(result.rates[[0, 10, 20, 30]], [1e-4, 1e-3, 1e-2, 1e-1])
    np.testing.assert_allclose([first for first, _ in seen], result.rates)
    np.testing.assert_allclose([second / first for first, second in seen], 3.0)


def test_of_made_up_losses() -> None:
    rates = np.geomspace(1e-5, 1.0, 101)
    at = np.log10(rates)
    falls = 2.0 - 1.5 / (1 + np.exp(-8 * (at + 2)))  # fastest at 1e-2
    losses = np.where(at > -1, 0.5 + 30 * (at + 1) ** 2, falls)
    result = LRRangeTest(rates, losses, complete=True)
    assert result.suggestion == pytest.approx(1e-2, rel=0.3)
    assert result.lowest_at == pytest.approx(10**-1.2, rel=0.6)
    assert result.diverges_at == pytest.approx(10 ** (-1 + np.sqrt(1.5 / 30)), rel=0.2)
    assert f"lr={result.suggestion:.2g}" in str(result)


def test_where_nothing_falls_there_is_no_suggestion() -> None:
    result = LRRangeTest(np.geomspace(1e-5, 1.0, 50), np.linspace(2.0, 2.1, 50), complete=True)
    assert result.suggestion is None
    assert result.diverges_at is not None
    assert "falls at none" in str(result)
    assert "cp.check" in result.hint
    assert result.draw().svg.startswith("<svg")


def test_its_picture() -> None:
    result = found(steps=40)
    assert all(words in result.draw().svg for words in ("smoothed", "each step", "learning rate", "10⁻⁴"))
    assert "prefers-color-scheme: dark" in result.draw().svg
    assert "<svg" in result._repr_html_()


def test_a_display(capsys: pytest.CaptureFixture[str]) -> None:
    found(steps=10, progress=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "more",
    [{"lowest": 0.0}, {"lowest": 1.0, "highest": 0.1}, {"steps": 9}, {"steps": 20.0}, {"loss": nn.CrossEntropyLoss},
     {"optimizer": lambda _: optim.SGD}, {"progress": "yes"}, {"highest": "much"}],
)  # fmt: skip
def test_settings_that_make_no_sense(more: Any) -> None:
    with pytest.raises(UsageError):
        found(**more)


def test_data_that_are_none() -> None:
    model = mlp(16, 4)
    settings = {"loss": nn.CrossEntropyLoss(), "optimizer": optim.SGD(model.parameters(), lr=0.1), "progress": False}
    with pytest.raises(DataError, match="no batches"):
        train.lr_range_test(model, [], **settings)  # type: ignore[arg-type]
    x, y = blobs(8)
    with pytest.raises(DivergenceError, match="first step"):
        train.lr_range_test(model, [(np.full_like(x, np.inf), y)], **settings)  # type: ignore[arg-type]
