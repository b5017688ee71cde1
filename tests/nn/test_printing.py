"""The printed tree and the summary."""

from __future__ import annotations

from typing import Any

import clearprop as cp
from clearprop import nn


class Net(nn.Module):
    def __init__(self) -> None:
        self.body = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Residual(nn.Linear(256, 256)))
        self.head = nn.Linear(256, 10, bias=False)
        self.unused = nn.PReLU()

    def forward(self, x: Any) -> Any:
        return self.head(self.body(x))


def test_tree() -> None:
    assert str(Net()).splitlines() == [
        "Net",
        "├─ body: Sequential",
        "│  ├─ 0: Linear(784, 256)              weight (784, 256)  bias (256,)  200,960",
        "│  ├─ 1: ReLU()",
        "│  └─ 2: Residual",
        "│     └─ module: Linear(256, 256)      weight (256, 256)  bias (256,)   65,792",
        "├─ head: Linear(256, 10, bias=False)   weight (256, 10)                  2,560",
        "└─ unused: PReLU(num_parameters=1)     weight (1,)                           1",
        "269,313 parameters",
    ]


def test_tree_marks_what_is_frozen_or_shared() -> None:
    layer = nn.Linear(2, 2)
    net = nn.Sequential({"a": layer, "b": nn.Linear(2, 2), "c": layer})
    net.b.weight = layer.weight  # type: ignore[attr-defined]
    layer.bias.requires_grad = False  # type: ignore[union-attr]
    assert str(net).splitlines() == [
        "Sequential",
        "├─ a: Linear(2, 2)          weight (2, 2)         bias (2,) frozen  6",
        "├─ b: Linear(2, 2)          weight (2, 2) shared  bias (2,)         2",
        "└─ c: Linear(2, 2) shared",
        "8 parameters, of which 2 are frozen",
    ]


def test_modules_alone() -> None:
    assert str(nn.ReLU()) == "ReLU()"
    assert str(nn.Linear(2, 3)) == "Linear(2, 3)  weight (2, 3)  bias (3,)  9 parameters"
    assert str(nn.Sequential()) == "Sequential()"
    for module, text in (
        (nn.LeakyReLU(0.2), "LeakyReLU(negative_slope=0.2)"),
        (nn.ELU(), "ELU(alpha=1.0)"),
        (nn.GELU("tanh"), "GELU(approximate='tanh')"),
        (nn.Softplus(), "Softplus(beta=1.0, threshold=20.0)"),
        (nn.Softmax(1), "Softmax(dim=1)"),
        (nn.Dropout(0.1), "Dropout(p=0.1)"),
        (nn.Flatten(2), "Flatten(start_dim=2)"),
    ):
        assert str(module) == text


def test_summary_rows() -> None:
    net = Net().train()
    rows = nn.summary(net, (784,)).rows
    assert [(row.path, row.kind, row.output, row.count) for row in rows] == [
        ("", "Net", "(N, 10)", 0),
        ("body", "Sequential", "(N, 256)", 0),
        ("body.0", "Linear", "(N, 256)", 200960),
        ("body.1", "ReLU", "(N, 256)", 0),
        ("body.2", "Residual", "(N, 256)", 0),
        ("body.2.module", "Linear", "(N, 256)", 65792),
        ("head", "Linear", "(N, 10)", 2560),
        ("unused", "PReLU", "", 1),
    ]
    assert rows[2].parameters == {"weight": (784, 256), "bias": (256,)}
    assert net.body.training


def test_summary_of_given_inputs_leaves_no_trace() -> None:
    net = Net()
    net.body.eval()
    found = net.summary(cp.ones((7, 784)))
    assert found.rows[0].output == "(7, 10)"
    assert found.count == sum(p.size for p in net.parameters())
    assert not net.body[1].training
    assert net.head.training
    assert all(not module._forward_hooks for module in net.modules())


def test_summary_rows_are_layers_of_a_history() -> None:
    from clearprop.train.records import Layer

    row = nn.summary(nn.Linear(2, 3), (2,)).rows[0]
    layer = Layer(row.path, row.kind, row.output, row.parameters)
    assert (layer.count, layer.output) == (9, "(N, 3)")


def test_many_parameters_of_one_module_are_not_all_shown() -> None:
    net = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    line, *_ = str(nn.Sequential(net)).splitlines()[1:]
    assert line.endswith("bias_ih_l0 (16,)  bias_hh_l0 (16,)  and 12 more  736")
    row = str(net.summary(cp.zeros((5, 2, 3)))).splitlines()[1]
    assert "bias_hh_l0 (16,), and 12 more" in row
