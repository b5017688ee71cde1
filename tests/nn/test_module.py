"""Parts, names, modes, saving, loading, hooks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.errors import DataError, DTypeError, ShapeError, UsageError


class Encoder(nn.Module):
    def __init__(self) -> None:
        self.fc1 = nn.Linear(4, 3)
        self.fc2 = nn.Linear(3, 2)
        self.scale = nn.Buffer(cp.ones(2))

    def forward(self, x: Any) -> Any:
        return self.fc2(cp.functional.relu(self.fc1(x))) * self.scale


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()  # not needed, and does no harm
        self.encoder = Encoder()
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(2, 2, bias=False))
        self.gain = nn.Parameter(np.float32(1.0))

    def forward(self, x: Any) -> Any:
        return self.head(self.encoder(x)) * self.gain


NAMES = [
    "gain", "encoder.fc1.weight", "encoder.fc1.bias", "encoder.fc2.weight", "encoder.fc2.bias", "head.1.weight"
]  # fmt: skip


def test_parts_and_their_names() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [p.name for p in net.parameters()] == NAMES
    assert [name for name, _ in net.named_buffers()] == ["encoder.scale"]
    assert [name for name, _ in net.named_modules()] == [
        "", "encoder", "encoder.fc1", "encoder.fc2", "head", "head.0", "head.1"
    ]  # fmt: skip
    assert list(net.children()) == [net.encoder, net.head]
    assert [module.path for module in net.modules()] == [name for name, _ in net.named_modules()]


def test_every_node_knows_its_module() -> None:
    graph = cp.Graph(Net()(cp.ones((1, 4))))
    assert {node.module for node in graph.nodes if not node.is_leaf} == {
        "", "encoder", "encoder.fc1", "encoder.fc2", "head.0", "head.1"
    }  # fmt: skip
    leaves = {node.name for node in graph.leaves}
    assert leaves == set(NAMES)


def test_the_path_is_put_back_after_an_error() -> None:
    net = Net()
    with pytest.raises(ShapeError, match=r"encoder.fc1.weight has shape \(4, 3\)"):
        net(cp.ones((1, 5)))
    assert cp.graph.state.module == ""


def test_attributes_can_be_replaced_and_deleted() -> None:
    net = Net()
    net.gain = None  # type: ignore[assignment]
    del net.head
    net.encoder.fc2 = nn.Linear(3, 2, bias=False)
    assert [name for name, _ in net.named_parameters()] == [
        name for name in NAMES if "fc" in name and name != "encoder.fc2.bias"
    ]
    assert net.encoder.fc2.weight.name == "encoder.fc2.weight"


def test_a_parameter_is_not_replaced_by_a_value() -> None:
    layer = nn.Linear(2, 2)
    for value in (cp.ones((2, 2)), np.ones((2, 2))):
        with pytest.raises(DTypeError, match=r"Linear.weight is a Parameter(.|\n)*module.weight.assign\(value\)"):
            layer.weight = value


def test_shared_parts_count_once() -> None:
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert [name for name, _ in net.named_parameters()] == ["0.weight", "0.bias"]
    assert len(list(net.modules())) == 3
    assert list(net.state_dict()) == ["0.weight", "0.bias"]
    net[0].weight, net[2].weight = (net[0].weight,) * 2  # type: ignore[attr-defined]
    assert len(net.state_dict()) == 2


def test_a_module_may_know_its_parent() -> None:
    parent = nn.Sequential(nn.Linear(2, 2))
    parent[0].parent = parent
    assert [name for name, _ in parent.named_modules()] == ["", "0"]
    assert "parent" in repr(parent)


def test_a_copy_is_independent() -> None:
    net = Net()
    twin = copy.deepcopy(net)
    twin.encoder.fc1.weight.assign(cp.zeros((4, 3)))
    assert net.encoder.fc1.weight.numpy().any()
    twin(cp.ones((1, 4))).sum().backward()
    assert all(p.grad is None for p in net.parameters())
    assert twin.gain.grad is not None
    holder = nn.Sequential({"online": net, "target": twin})
    assert [name for name, _ in holder.named_parameters()] == [
        *(f"online.{name}" for name in NAMES), *(f"target.{name}" for name in NAMES)
    ]  # fmt: skip
    assert [p.name for p in holder.parameters()] == [name for name, _ in holder.named_parameters()]


def test_modes_and_freezing() -> None:
    net = Net()
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train().head.training
    net.encoder.requires_grad_(False)
    net(cp.ones((1, 4))).sum().backward()
    assert {name for name, p in net.named_parameters() if p.grad is not None} == {"gain", "head.1.weight"}
    net.zero_grad(set_to_none=False)
    assert net.gain.grad.item() == 0.0  # type: ignore[union-attr]
    net.zero_grad()
    assert net.gain.grad is None


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    Net().apply(lambda module: seen.append(type(module).__name__))
    assert seen.index("Linear") < seen.index("Encoder") < seen.index("Net")
    assert len(seen) == 7


def test_to_another_dtype() -> None:
    net = Net()
    net.counter = nn.Buffer(0)
    net(cp.ones((1, 4))).sum().backward()
    cells = list(net.parameters())
    assert net.to(cp.float64) is net
    assert all(p is q for p, q in zip(net.parameters(), cells, strict=True))
    assert {p.dtype for p in cells} == {p.grad.dtype for p in cells if p.grad is not None} == {cp.float64}
    assert net.encoder.scale.dtype == cp.float64
    assert net.counter.dtype == cp.int64  # type: ignore[attr-defined]
    net.zero_grad()
    net(cp.ones((1, 4), dtype=cp.float64)).sum().backward()
    assert net.gain.grad.dtype == cp.float64  # type: ignore[union-attr]
    with pytest.raises(DTypeError):
        net.to(cp.int32)


def test_state_goes_out_and_in() -> None:
    source, target = Net(), Net()
    state = source.state_dict()
    assert list(state) == ["gain", "encoder.scale", *NAMES[1:]]
    assert not any(value.requires_grad for value in state.values())
    result = target.load_state_dict({name: value.numpy() for name, value in state.items()})
    assert result == ([], [])
    x = cp.ones((2, 4))
    np.testing.assert_array_equal(source(x).numpy(), target(x).numpy())
    source.gain.assign(2.0)
    assert state["gain"].item() == 1.0


def test_loading_names_everything_that_does_not_fit_and_changes_nothing() -> None:
    net = Net()
    before = net.state_dict()
    values: dict[str, Any] = {name: value.numpy() + 1 for name, value in before.items()}
    del values["gain"], values["encoder.fc1.bias"]
    values |= {
        "extra": np.zeros(1),
        "encoder.fc1.weight": np.zeros((3, 4)),
        "head.1.weight": np.zeros((2, 2), bool),
    }
    with pytest.raises(DataError) as caught:
        net.load_state_dict(values)
    assert str(caught.value) == (
        "these values do not fit Net; nothing was loaded:\n"
        "  missing: gain, encoder.fc1.bias\n"
        "  unexpected: extra\n"
        "  shape: encoder.fc1.weight has shape (4, 3), the value has shape (3, 4), its transpose: weights are stored "
        '[in, out]; layout="torch" turns them\n'
        "  dtype: head.1.weight is float32, the value is bool\n"
        "Try: build the network as it was when it was saved, or load_state_dict(values, strict=False)"
    )
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())


def test_the_layout_of_torch_turns_matrices_and_nothing_else() -> None:
    net = Net()
    saved = net.state_dict(layout="torch")
    own = net.state_dict()
    assert saved.keys() == own.keys()
    np.testing.assert_array_equal(saved["encoder.fc1.weight"].numpy(), own["encoder.fc1.weight"].numpy().T)
    np.testing.assert_array_equal(saved["encoder.fc1.bias"].numpy(), own["encoder.fc1.bias"].numpy())
    other = Net()
    other.load_state_dict(saved, layout="torch")
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), own[name].numpy())
    with pytest.raises(UsageError, match="layout='jax'"):
        net.state_dict(layout="jax")


def test_tied_weights_are_saved_once_and_under_all_names_for_torch() -> None:
    def tied() -> nn.Sequential:
        model = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3))
        model[2].weight = model[0].weight
        return model

    model, other = tied(), tied()
    assert "2.weight" not in model.state_dict()
    saved = model.state_dict(layout="torch")
    np.testing.assert_array_equal(saved["0.weight"].numpy(), saved["2.weight"].numpy())
    other.load_state_dict(saved, layout="torch")
    np.testing.assert_array_equal(other[0].weight.numpy(), model[0].weight.numpy())
    del saved["0.weight"]  # either name will do
    other.load_state_dict(saved, layout="torch")
    assert other[2].weight is other[0].weight
    unequal = {**model.state_dict(), "2.weight": np.zeros((3, 3))}
    with pytest.raises(DataError, match=r"0\.weight and 2\.weight are one parameter"):
        other.load_state_dict(unequal)


def test_loading_some_of_it() -> None:
    net = Net()
    result = net.load_state_dict({"gain": np.float32(3.0), "extra": 1.0}, strict=False)
    assert result.missing_keys == [name for name in net.state_dict() if name != "gain"]
    assert result.unexpected_keys == ["extra"]
    assert net.gain.value.item() == 3.0
    with pytest.raises(DataError, match="shape"):
        net.load_state_dict({"gain": np.zeros(3)}, strict=False)


def test_loading_says_when_names_have_a_prefix() -> None:
    net = Net()
    values = {f"model.{name}": value for name, value in net.state_dict().items()}
    with pytest.raises(DataError, match=r"the names have the prefix 'model\.'"):
        net.load_state_dict(values)


def test_loading_casts_to_the_dtype_of_the_cell() -> None:
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.ones((2, 1)), "bias": np.ones(1, np.float16)})
    assert layer.weight.dtype == layer.bias.dtype == cp.float32  # type: ignore[union-attr]


def test_hooks() -> None:
    layer = nn.Linear(2, 1)
    seen: list[tuple[Any, ...]] = []
    handle = layer.register_forward_hook(lambda *args: seen.append(args))
    x = cp.ones((1, 2))
    y = layer(x)
    assert seen == [(layer, (x,), y)]
    handle.remove()
    handle.remove()
    with layer.register_forward_hook(lambda module, args, output: output * 0.0):
        assert layer(x).item() == 0.0
    layer(x)
    assert len(seen) == 1


def test_parts_by_name_and_without_those_below() -> None:
    net = Net()
    assert net.get_submodule("encoder.fc1") is net.encoder.fc1
    assert net.get_submodule("head.1") is net.head[1]
    assert net.get_submodule("") is net
    with pytest.raises(UsageError, match=r"Encoder encoder has no module 'fc9' \('encoder.fc9'\)\nTry: fc1, fc2"):
        net.get_submodule("encoder.fc9")
    with pytest.raises(UsageError, match="no module 'gain'"):
        net.get_submodule("gain")
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["gain"]
    assert list(net.parameters(recurse=False)) == [net.gain]
    assert list(net.buffers(recurse=False)) == []
    assert [name for name, _ in net.encoder.named_buffers("encoder")] == ["encoder.scale"]
    assert [name for name, _ in net.encoder.fc1.named_parameters("a.b")] == ["a.b.weight", "a.b.bias"]


def test_buffers_and_parameters_as_pytorch_registers_them() -> None:
    net = nn.Module()
    net.register_buffer("mask", np.ones((2, 2)), persistent=False)
    net.register_buffer("mean", [0.0, 0.0])
    net.register_buffer("nothing", None)
    net.register_parameter("weight", nn.Parameter([1.0]))
    net.register_parameter("bias", None)
    assert list(net.state_dict()) == ["mean", "weight"]
    assert [name for name, _ in net.named_buffers()] == ["mask", "mean"]
    assert net.nothing is net.bias is None
    assert net.mask[:1, :1].tolist() == [[1.0]]
    assert net.to(cp.float32).mask.dtype == cp.float32
    net.load_state_dict({"mean": [1.0, 2.0], "weight": [3.0]})
    with pytest.raises(DataError, match="unexpected: mask"):
        net.load_state_dict({**net.state_dict(), "mask": np.ones((2, 2))})
    twin = copy.deepcopy(net)
    assert list(twin.state_dict()) == ["mean", "weight"]


def test_a_module_without_forward_and_without_a_name() -> None:
    with pytest.raises(NotImplementedError, match="Module needs a method forward"):
        nn.Module()(1)
    with pytest.raises(ValueError, match=r"'a\.b' cannot be the name"):
        setattr(nn.Module(), "a.b", nn.Parameter(1.0))


def test_functional_call() -> None:
    net = Net()
    values = {name: cp.tensor(np.ones(p.shape, np.float32), requires_grad=True) for name, p in net.named_parameters()}
    before = net.state_dict()
    nn.functional_call(net, values, cp.ones((1, 4))).sum().backward()
    assert all(value.grad is not None for value in values.values())
    assert all(p.grad is None for p in net.parameters())
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name].numpy())
    with pytest.raises(DataError, match="Net has no other"):
        nn.functional_call(net, {"other": 1.0}, cp.ones((1, 4)))
    with pytest.raises(ShapeError, match=r"gain has shape \(\), the value \(2,\)"):
        nn.functional_call(net, {"encoder.scale": cp.zeros(2), "gain": [1.0, 2.0]}, cp.ones((1, 4)))
    assert net.encoder.scale.value.tolist() == [1.0, 1.0]


def test_gradients_of_each_example() -> None:
    net, x, y = nn.Linear(4, 3), cp.random.normal((5, 4)), cp.tensor([0, 1, 2, 0, 1])
    values = net.state_dict()

    def loss(values: Any, x: Any, y: Any) -> Any:
        return cp.functional.cross_entropy(nn.functional_call(net, values, x), y)

    each = cp.vmap(cp.grad(loss), in_axes=(None, 0, 0))(values, x, y)
    assert each["weight"].shape == (5, 4, 3)
    cp.functional.cross_entropy(net(x), y, reduction="sum").backward()
    np.testing.assert_allclose(each["weight"].numpy().sum(0), net.weight.grad.numpy(), rtol=1e-5, atol=1e-6)  # type: ignore[union-attr]
