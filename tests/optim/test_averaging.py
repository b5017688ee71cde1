"""Averages of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.errors import UsageError
from clearprop.optim import swa_utils
from clearprop.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Net(nn.Module):
    """A weight, a buffer of numbers and one that counts."""

    def __init__(self, dtype: Any = np.float64) -> None:
        self.weight = cp.Parameter(np.zeros(3, dtype))
        self.mean = cp.Buffer(np.zeros(3, dtype))
        self.count = cp.Buffer(np.int64(0))

    def forward(self, x: Any) -> Any:
        return x * self.weight

    def set(self, step: int) -> None:
        values = np.sin(np.arange(3.0) + step).astype(self.weight.dtype.dtype)
        self.weight.assign(values)
        self.mean.assign(2.0 * values)
        self.count.assign(np.int64(7 * step))


def values(model: nn.Module) -> list[list[float]]:
    return [tensor.numpy().reshape(-1).tolist() for tensor in model.state_dict().values()]


def ema(averaged: np.ndarray, value: np.ndarray) -> np.ndarray:
    return 0.8 * averaged + 0.2 * value


@pytest.mark.parametrize("use_buffers", [False, True])
@pytest.mark.parametrize(
    "arguments",
    [{"multi_avg_fn": get_ema_multi_avg_fn(0.8)}, {"avg_fn": swa_utils.get_ema_avg_fn(0.8)}],
    ids=["all at once", "one by one"],
)
def test_exponential_averages(arguments: Any, use_buffers: bool) -> None:
    model = Net()
    averaged = AveragedModel(model, use_buffers=use_buffers, **arguments)
    weight = mean = count = np.zeros(0)
    for step in range(1, 6):
        model.set(step)
        averaged.update_parameters(model)
        now = [model.weight.numpy(), model.mean.numpy(), model.count.numpy().astype(np.float64)]
        if step == 1:
            weight, mean, count = now
        else:
            weight, mean = ema(weight, now[0]), ema(mean, now[1])
            count = np.trunc(ema(count, now[2]))
    own: Any = averaged.module
    np.testing.assert_allclose(own.weight.numpy(), weight, rtol=1e-12)
    np.testing.assert_allclose(own.mean.numpy(), mean if use_buffers else model.mean.numpy(), rtol=1e-12)
    assert own.count.item() == (count if use_buffers else model.count.item())
    assert averaged.n_averaged.item() == 5
    np.testing.assert_allclose(averaged(cp.ones(3, dtype=cp.float64)).numpy(), weight, rtol=1e-12)


@pytest.mark.parametrize("arguments", [{}, {"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}])
def test_equal_weights_are_the_default(arguments: Any) -> None:
    model = Net()
    averaged, seen = AveragedModel(model, **arguments), []
    for step in range(1, 6):
        model.set(step)
        averaged.update_parameters(model)
        seen.append(model.weight.numpy().copy())
    np.testing.assert_allclose(averaged.module.weight.numpy(), np.mean(seen, axis=0), rtol=1e-12)  # type: ignore[attr-defined]


def test_averages_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from torch.optim import swa_utils as torchs

    torch.set_default_dtype(torch.float64)  # of its 1 / n
    for exponential in (True, False):
        for use_buffers in (False, True):
            ours = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to(cp.float64)
            theirs = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).double()
            average, other = (
                library.AveragedModel(
                    model,
                    multi_avg_fn=library.get_ema_multi_avg_fn(0.9) if exponential else None,
                    use_buffers=use_buffers,
                )
                for library, model in ((swa_utils, ours), (torchs, theirs))
            )
            for step in range(5):
                for number, (key, tensor) in enumerate(theirs.state_dict().items()):
                    new = np.sin(np.arange(tensor.numel()) + step + number).reshape(tuple(tensor.shape)) * 9.0
                    tensor.copy_(torch.tensor(new))
                    cell = dict(ours.named_cells())[key]
                    cell.assign((new.T if key == "0.weight" else new).astype(cell.dtype.dtype))
                average.update_parameters(ours)
                other.update_parameters(theirs)
            expected = {key: tensor.numpy() for key, tensor in other.state_dict().items()}
            assert average.state_dict().keys() == expected.keys()
            for key, tensor in average.state_dict().items():
                turned = tensor.numpy().T if key == "module.0.weight" else tensor.numpy()
                np.testing.assert_allclose(
                    turned, expected[key], rtol=1e-12, err_msg=f"{exponential} {use_buffers} {key}"
                )


def test_the_copy_is_a_network_of_its_own() -> None:
    model = Net(np.float32)
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    model.set(1)
    averaged.update_parameters(model)
    model.set(2)
    assert averaged.module.weight.dtype == cp.float32  # type: ignore[attr-defined]
    assert averaged.module.weight is not model.weight  # type: ignore[attr-defined]
    assert model.weight.name == "weight"
    averaged.update_parameters(model)
    assert averaged.module.weight.value.node.is_leaf  # type: ignore[attr-defined]
    assert averaged.eval().module.training is False  # type: ignore[attr-defined]
    assert model.training


def test_averages_are_saved_and_gone_on_with(tmp_path: Path) -> None:
    model = Net()
    whole, first, second = (AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9)) for _ in range(3))
    for step in range(6):
        model.set(step)
        whole.update_parameters(model)
        if step == 2:
            cp.save(tmp_path / "averages.safetensors", first.state_dict())
            second.load_state_dict(cp.load(tmp_path / "averages.safetensors"))
        (first if step < 2 else second).update_parameters(model)
    assert values(second) == values(whole)


def test_tied_weights_are_averaged_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            self.first = nn.Linear(2, 2, bias=False)
            self.second = nn.Linear(2, 2, bias=False)
            self.second.weight = self.first.weight

    model = Tied()
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    for value in (0.0, 4.0):
        model.first.weight.assign(np.full((2, 2), value, np.float32))
        averaged.update_parameters(model)
    own: Any = averaged.module
    assert own.first.weight is own.second.weight
    assert own.first.weight.numpy().tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_update_bn_measures_anew_and_puts_everything_back() -> None:
    cp.random.seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, momentum=0.3), nn.Dropout(0.5))
    averaged = AveragedModel(model).eval()
    averaged.module[1].train()  # type: ignore[index]
    batches = [cp.random.normal((8, 3)) for _ in range(3)]
    swa_utils.update_bn([(batch, 0) for batch in batches], averaged)
    layer: Any = averaged.module[1]  # type: ignore[index]
    hidden = [averaged.module[0](batch).numpy() for batch in batches]  # type: ignore[index]
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean([h.mean(0) for h in hidden], axis=0), rtol=1e-4)
    np.testing.assert_allclose(
        layer.running_var.numpy(), np.mean([h.var(0, ddof=1) for h in hidden], axis=0), rtol=1e-4
    )
    assert (layer.momentum, layer.training) == (0.3, True)
    assert not averaged.module[2].training  # type: ignore[index]
    swa_utils.update_bn(iter([]), nn.Linear(1, 1))  # nothing to be measured: the data are not touched


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AveragedModel([cp.Parameter([1.0])]), "the model is a list"),
        (lambda: AveragedModel(Net()).update_parameters(None), "the model is a NoneType"),
        (lambda: AveragedModel(Net(), avg_fn=max, multi_avg_fn=max), "two ways to say one thing"),
        (lambda: get_ema_multi_avg_fn(1.5), "decay=1.5"),
        (lambda: swa_utils.get_ema_avg_fn("slow"), "decay='slow'"),
        (lambda: AveragedModel(nn.Linear(2, 2)).update_parameters(nn.Linear(2, 3)), "differs .*: weight, bias"),
        (lambda: AveragedModel(nn.Linear(2, 2)).update_parameters(nn.Linear(2, 2, bias=False)), "differs .*: bias"),
    ],
)
def test_wrong_arguments(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()
