"""Every module against PyTorch's recorded figures, in float64: outputs, all gradients, buffers; and its weights there.

What is compared with what stands in `tests/reference/modules`. Where torch is installed, the record is made again.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.reference.modules.cases import Constant, ModuleCase, growth, parameter, upstream
from tests.reference.modules.topics import TOPICS

import clearprop as cp
from clearprop import nn
from clearprop.tensor import Tensor

ALL = [(topic, i) for topic, cases in TOPICS.items() for i in range(len(cases))]
IDS = [f"{topic}-{TOPICS[topic][i].label()}" for topic, i in ALL]
FIGURES = Path(__file__).parent / "modules" / "figures"

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")  # of torch: it could be faster


@cache
def recorded(topic: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FIGURES / f"{topic}.jsonl").read_text().splitlines()]


def to_tensor(value: Any) -> Any:
    value = value.array if isinstance(value, Constant) else value
    return cp.asarray(value) if isinstance(value, np.ndarray) else value


def as_input(value: Any) -> Any:
    wants_gradient = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return cp.tensor(value, requires_grad=True) if wants_gradient else to_tensor(value)


def flat(output: Any) -> list[Tensor]:
    if isinstance(output, (tuple, list)):
        return [tensor for part in output for tensor in flat(part)]
    return [] if output is None else [output]


def made(case: ModuleCase) -> nn.Module:
    """The module in float64, its parameters set as if they came from PyTorch."""
    arguments = {key: to_tensor(value) for key, value in case.arguments.items()}
    module: nn.Module = case.make(nn) if case.make else getattr(nn, case.name)(**arguments)
    module.to(cp.float64)
    shapes = {name: value.shape for name, value in module.state_dict(layout="torch").items()}
    names = sorted(name for name, _ in module.named_parameters())
    values = {name: parameter(shapes[name], position) for position, name in enumerate(names)}
    result = module.load_state_dict(values, strict=False, layout="torch")
    assert not result.unexpected_keys
    return module.train(case.training)


def in_torchs_layout(case: ModuleCase, gradients: dict[str, Any]) -> dict[str, Any]:
    """Gradients by name, turned as the parameters are: a second module carries them over."""
    carrier = made(case)
    carrier.load_state_dict(gradients, strict=False)
    return {name: value.numpy() for name, value in carrier.state_dict(layout="torch").items() if name in gradients}


@pytest.mark.parametrize(("topic", "i"), ALL, ids=IDS)
def test_outputs_gradients_and_buffers_are_torchs(topic: str, i: int) -> None:
    case, expected = TOPICS[topic][i], recorded(topic)[i]
    assert case.label() == expected["case"], f"python -m tests.reference.modules.record {topic}"
    compare(case, expected)


def compare(case: ModuleCase, expected: dict[str, Any]) -> None:
    """Run the case here; everything must be what PyTorch computed."""
    module = made(case)
    inputs = [as_input(value) for value in case.inputs]
    options = {key: to_tensor(value) for key, value in case.options.items()}
    outputs: list[Tensor] = []
    for step in range(case.steps):
        scaled = [x * growth(step) if isinstance(x, Tensor) and x.requires_grad else x for x in inputs]
        outputs = flat(case.call(module, *scaled, **options) if case.call else module(*scaled, **options))
        tracked = [(k, tensor) for k, tensor in enumerate(outputs) if tensor.requires_grad]
        losses = [(tensor * cp.asarray(upstream(tensor.shape, k))).sum() for k, tensor in tracked]
        if losses:
            sum(losses[1:], losses[0]).backward()
    equal([tensor.numpy() for tensor in outputs], expected["outputs"], "output")
    gradients = [x.grad.numpy() for x in inputs if isinstance(x, Tensor) and x.grad is not None]
    equal(gradients, expected["inputs"], "gradient of input")
    own = {name: p.grad.numpy() for name, p in module.named_parameters() if p.grad is not None}
    turned = in_torchs_layout(case, own)
    assert turned.keys() == expected["parameters"].keys()
    equal(list(turned.values()), [expected["parameters"][name] for name in turned], f"gradient of {list(turned)}")
    buffers = {name: buffer.numpy() for name, buffer in module.named_buffers()}
    assert buffers.keys() == expected["buffers"].keys()
    equal(list(buffers.values()), [expected["buffers"][name] for name in buffers], f"buffer of {list(buffers)}")


def equal(found: list[Any], expected: list[Any], what: str) -> None:
    assert len(found) == len(expected), what
    for k, (one, other) in enumerate(zip(found, expected, strict=True)):
        array = np.asarray(other, one.dtype)
        assert one.shape == array.shape, f"{what} {k}"
        # Relative to the largest number of the array: small ones may be differences of large ones. And where all are
        # below 1e-15 they are what rounding leaves of zeros.
        scale = float(np.max(np.abs(array[np.isfinite(array)]), initial=1e-5)) if array.dtype.kind == "f" else 0.0
        np.testing.assert_allclose(one, array, rtol=1e-9, atol=1e-10 * scale, err_msg=f"{what} {k}")


@pytest.mark.parametrize("topic", TOPICS)
def test_the_record_is_what_torch_computes_here(topic: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed: its recorded figures are taken as they are")
    from tests.reference.modules.record import run

    lines = recorded(topic)
    assert len(lines) == len(TOPICS[topic])
    for case, line in zip(TOPICS[topic], lines, strict=True):
        live = {"case": case.label(), **run(case)}
        assert live.keys() == line.keys()
        for part in ("outputs", "inputs"):
            equal([np.asarray(one) for one in live[part]], line[part], f"{case.label()}: {part}")
        for part in ("parameters", "buffers"):
            assert live[part].keys() == line[part].keys()
            names = list(line[part])
            equal(
                [np.asarray(live[part][n]) for n in names], [line[part][n] for n in names], f"{case.label()}: {names}"
            )


@pytest.mark.parametrize(("topic", "i"), ALL, ids=IDS)
def test_weights_go_to_torch_and_come_back(topic: str, i: int, tmp_path: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from safetensors.torch import load_file, save_file

    case = TOPICS[topic][i]
    torch.set_default_dtype(torch.float64)
    module = made(case)
    cp.save(tmp_path / "ours.safetensors", module.state_dict(layout="torch"))
    arguments = {
        key: torch.tensor(value) if isinstance(value, np.ndarray) else value for key, value in case.arguments.items()
    }
    other = case.make(torch.nn) if case.make else getattr(torch.nn, case.name)(**arguments)
    other.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    save_file({name: value.clone() for name, value in other.state_dict().items()}, tmp_path / "theirs.safetensors")
    again = made(case)
    for _, cell in again.named_parameters():
        cell.assign(cell.value.detach() * 0.0)
    again.load_state_dict(cp.load(tmp_path / "theirs.safetensors"), layout="torch")
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name].numpy(), value.numpy())
