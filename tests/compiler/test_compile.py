"""``cp.compile``: the same results as eager, and a program for every kind of call."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, optim
from clearprop.errors import TraceError, UsageError

X = np.linspace(-1.0, 1.0, 24, dtype=np.float32).reshape(8, 3)
Y = np.arange(8) % 2

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda params: optim.SGD(params, lr=0.1),
    "momentum": lambda params: optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "Adam": lambda params: optim.Adam(params, lr=0.01, weight_decay=1e-3),
    "AdamW": lambda params: optim.AdamW(params, lr=0.01),
}


def network() -> nn.Module:
    cp.random.seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.25), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))


def training(optimizer: str, order: str) -> tuple[nn.Module, Any, Callable[..., Any]]:
    """A training step in the ordinary style; ``order`` says when gradients are forgotten."""
    model = network()
    rule = OPTIMIZERS[optimizer](model.parameters())

    def step(x: Any, y: Any) -> Any:
        if order == "first":
            rule.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rule.step()
        if order == "last":
            rule.zero_grad()
        return {"loss": loss, "note": "done"}

    return model, rule, step


@pytest.mark.parametrize(("executor", "rtol"), [("reference", 0.0), ("native", 1e-5)])
@pytest.mark.parametrize("order", ["first", "last", "never"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_step_in_the_ordinary_style(name: str, order: str, executor: str, rtol: float) -> None:
    """Losses, weights, optimizer state, gradients and random numbers are those of eager."""
    states = []
    for compiled in (False, True):
        model, rule, step = training(name, order)
        run = cp.compile(step, keep_grads=True, executor=executor) if compiled else step
        cp.random.seed(7)
        results = [run(X, Y) for _ in range(5)]
        assert {result["note"] for result in results} == {"done"}
        grads = [None if p.grad is None else p.grad.numpy() for p in model.parameters()]
        moments = list(rule.state_dict()["state"].values())
        states.append(
            [[r["loss"].item() for r in results], grads, *model.state_dict().values(), *moments, cp.random.uniform(3)]
        )
        if compiled:
            assert run.traces == (2 if order == "never" else 1)  # gradients that are there are another program
    for eager, other in zip(*states, strict=True):
        for one, two in zip(eager, other, strict=True) if isinstance(eager, list) else [(eager, other)]:
            np.testing.assert_allclose(np.asarray(one, np.float64), np.asarray(two, np.float64), rtol, rtol / 10)


def test_gradients_that_the_function_clears_are_not_kept() -> None:
    for order in ("first", "last", "never"):
        model, _, step = training("SGD", order)
        run = cp.compile(step)
        run(X, Y)
        if order == "first":
            with pytest.raises(
                cp.GradientError, match=r"clears the gradient of 0\.weight.*\n.*\nTry: .*keep_grads=True"
            ):
                _ = model[0].weight.grad
            run(X, Y)  # which does not look at them
            assert "leaves 0 gradients" in run.report()
            model.zero_grad()
        assert (model[0].weight.grad is None) == (order != "never")


def test_settings_are_read_at_each_call() -> None:
    w = cp.Parameter([1.0])
    rule = optim.SGD([w], lr=0.5)

    @cp.compile
    def step() -> None:
        rule.zero_grad()
        (w * w).sum().backward()
        rule.step()

    step()
    assert w.item() == 0.0
    w.assign([1.0])
    rule.param_groups[0]["lr"] = 0.25
    step()
    assert w.item() == 0.5
    assert step.traces == 1


def test_the_mode_and_settings_of_modules_are_part_of_the_program() -> None:
    model = nn.Sequential(nn.Dropout(0.5))
    run = cp.compile(lambda x: model(x))
    ones = cp.ones(64)
    assert run(ones).min().item() == 0.0
    model.eval()
    assert run(ones).min().item() == 1.0
    model.train()
    assert run(ones).min().item() == 0.0
    assert run.traces == 2, "the program of training is still there"
    model[0].p = 1.0
    assert run(ones).max().item() == 0.0
    assert run.traces == 3


def test_new_shapes_dtypes_and_other_arguments_are_new_programs() -> None:
    run = cp.compile(lambda x, scale=1.0, names=(): x * scale + len(names))
    assert run(np.ones(2)).tolist() == [1.0, 1.0]
    assert run(np.ones(3)).tolist() == [1.0, 1.0, 1.0]
    assert run(np.ones(2, np.float32)).dtype == cp.float32
    assert run(np.ones(2), scale=2.0).tolist() == [2.0, 2.0]
    assert run(np.ones(2), names=("a", "b")).tolist() == [3.0, 3.0]
    assert run.traces == 5
    for _ in range(3):
        run(np.zeros(2), scale=2.0)
    assert run.traces == 5
    run.clear()
    run(np.ones(2))
    assert run.traces == 6


def test_the_number_of_programs_is_bounded() -> None:
    run = cp.compile(lambda x, n: x + n)
    for n in range(100):
        assert run(np.ones(1), n).item() == n + 1
    assert run.report().count("program of") == 64


def test_nested_arguments_and_results() -> None:
    run = cp.compile(lambda batch, *, flip: {"sum": batch["a"] + batch["b"][0], "flip": flip, "n": [None, 3]})
    found = run({"a": np.ones(2), "b": (np.full(2, 2.0),)}, flip=True)
    assert found["sum"].tolist() == [3.0, 3.0]
    assert found["flip"] is True
    assert found["n"] == [None, 3]


def test_arrays_named_static_are_fixed() -> None:
    table = np.array([1.0, 2.0])
    run = cp.compile(lambda x, table: x * float(table[0]), static_argnames=["table"])
    assert run(np.ones(1), table=table).item() == 1.0


@pytest.mark.parametrize("names", ["table", ("table",), {"table"}])
def test_the_names_of_static_arguments(names: Any) -> None:
    run = cp.compile(lambda x, table: x * float(table[0]), static_argnames=names)
    assert run(np.ones(1), table=np.array([2.0])).item() == 2.0
    with pytest.raises(UsageError, match=r"static_argnames=3\nTry: names of arguments"):
        cp.compile(lambda x: x, static_argnames=3)  # type: ignore[call-overload]


def test_as_a_decorator_it_keeps_name_and_documentation() -> None:
    @cp.compile(executor="reference")
    def double(x: Any) -> Any:
        """Twice x."""
        return x + x

    assert double.__name__ == "double"
    assert double.__doc__ == "Twice x."
    assert double(np.ones(1)).item() == 2.0
    assert "double: executor reference, traced 1 time" in double.report()
    assert "1 nodes, 1 FLOP" in double.report()


def test_transformations_inside_and_outside() -> None:
    f = cp.compile(lambda x: (cp.sin(x) * x).sum())
    x = cp.asarray(X)
    plain = lambda x: (cp.sin(x) * x).sum()  # noqa: E731
    for inside, outside in [
        (cp.compile(cp.grad(plain)), cp.grad(f)),
        (cp.compile(lambda x: cp.hvp(plain, (x,), (x,))), lambda x: cp.hvp(f, (x,), (x,))),
        (cp.compile(cp.vmap(cp.grad(plain))), cp.vmap(cp.grad(f))),
        (cp.compile(cp.vmap(plain)), cp.vmap(f)),
    ]:
        np.testing.assert_allclose(inside(x).numpy(), outside(x).numpy(), rtol=1e-5)


def test_gradients_flow_through_a_compiled_network_to_arguments_and_parameters() -> None:
    model = network().eval()
    run = cp.compile(lambda x: model(x))
    grads = []
    for forward in (model, run):
        for parameter in model.parameters():
            parameter.grad = None
        x = cp.tensor(X, requires_grad=True)
        nn.functional.cross_entropy(forward(x), cp.asarray(Y)).backward()
        grads.append([x.grad.numpy(), *(p.grad.numpy() for p in model.parameters() if p.grad is not None)])
    for one, other in zip(*grads, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_without_gradients_nothing_is_recorded() -> None:
    model = network().eval()
    run = cp.compile(lambda x: model(x))
    with cp.no_grad():
        assert not run(X).requires_grad
    assert run(X).requires_grad


def test_a_compiled_function_inside_another_is_part_of_it() -> None:
    inner = cp.compile(lambda x: x * 2.0)
    outer = cp.compile(lambda x: inner(x) + 1.0)
    assert outer(np.ones(1)).item() == 3.0
    assert inner.traces == 0


def test_a_loop_is_one_node() -> None:
    lstm_like = cp.compile(lambda w, xs: cp.scan(lambda h, x: (cp.tanh(h @ w + x), None), cp.zeros((2, 3)), xs)[0])
    w, xs = np.eye(3, dtype=np.float32), np.ones((50, 2, 3), np.float32)
    h = cp.zeros((2, 3))
    for x in xs:
        h = cp.tanh(h @ cp.asarray(w) + cp.asarray(x))
    np.testing.assert_allclose(lstm_like(w, xs).numpy(), h.numpy(), rtol=1e-6)
    assert "2 nodes" in lstm_like.report()


def test_an_if_on_a_value_names_the_line() -> None:
    @cp.compile
    def f(x: Any) -> Any:
        return x if x.sum() > 0 else -x

    with pytest.raises(TraceError, match=r"test_compile\.py:\d+ in .*if x\.sum\(\) > 0") as caught:
        f(np.ones(2))
    assert "cp.where" in str(caught.value)
    assert caught.value.__cause__ is None


def hooked(x: Any) -> Any:
    y = x * x
    if y.requires_grad:
        y.register_hook(lambda g: g * 10.0)
    return y


class Straight(cp.Function):
    """Rounding whose gradient passes through."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return cp.round(x)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * x.detach(),
        lambda x: x * cp.stop_gradient(x),
        lambda x: x * Straight.apply(x),
        hooked,
    ],
)
def test_gradients_of_what_was_compiled_flow_as_the_function_says(f: Any) -> None:
    x = cp.tensor([1.3, -0.6])
    run = cp.compile(f)
    expected = cp.grad(lambda x: f(x).sum())(x)
    assert cp.grad(lambda x: run(x).sum())(x).tolist() == expected.tolist()
    leaf = cp.tensor([1.3, -0.6], requires_grad=True)
    run(leaf).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.tolist() == expected.tolist()


def test_gradients_of_what_is_older_than_the_call() -> None:
    """A tensor with a history, used from outside: no gradient that the function itself would give may be lost."""
    p, x = cp.Parameter([1.0, 2.0]), cp.tensor([3.0, 4.0])
    older = p * 2.0
    cp.compile(lambda x: (x * older).sum())(x).backward()
    assert p.grad is not None
    assert p.grad.tolist() == [6.0, 8.0]

    def step(x: Any) -> Any:
        (x * older * p).sum().backward()

    older = p * 2.0
    with pytest.raises(TraceError, match=r"(?s)backward\(\) arrives at a tensor from outside.*\(x \* older \* p\)"):
        cp.compile(step)(x)
    with pytest.raises(TraceError, match="arrives at a tensor from outside"):
        cp.compile(lambda x: (x * p).sum().backward())(cp.tensor([3.0, 4.0], requires_grad=True))


def test_an_error_in_a_call_changes_nothing() -> None:
    w = cp.Parameter([1.0, 2.0])
    rule = optim.SGD([w], lr=0.5)

    @cp.compile
    def step(i: Any) -> Any:
        (w * w).sum().backward()
        rule.step()
        return cp.take(w.value.detach(), i)

    with pytest.raises(cp.RangeError):
        step(np.array([5]))
    assert w.value.detach().tolist() == [1.0, 2.0]
    assert w.grad is None
    assert step(np.array([1])).tolist() == [0.0]


def test_wrong_use() -> None:
    with pytest.raises(UsageError, match="there is no executor 'fast'"):
        cp.compile(lambda x: x, executor="fast")
    with pytest.raises(UsageError, match="3 is not a function"):
        cp.compile(3)  # type: ignore[call-overload]


def test_a_random_generator_moves_on() -> None:
    run = cp.compile(lambda: cp.random.uniform((3,)))
    cp.random.seed(2)
    found = [run().tolist() for _ in range(3)]
    cp.random.seed(2)
    assert found == [cp.random.uniform((3,)).tolist() for _ in range(3)]


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_places_that_are_arguments(executor: str) -> None:
    def f(x: Any, i: Any) -> Any:
        return x.at[i].add(2.0), x.at[i].set(7.0), x.at[:, 1].set(cp.sum(x))

    x, i = cp.asarray(np.arange(6.0).reshape(3, 2)), cp.asarray([2, 0])
    for one, other in zip(cp.compile(f, executor=executor)(x, i), f(x, i), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    with pytest.raises(cp.RangeError):
        cp.compile(f, executor=executor)(x, cp.asarray([2, 3]))


def test_a_copy_is_compiled_anew() -> None:
    model = cp.compile(cp.nn.Linear(2, 1))
    x = cp.ones((3, 2))
    with cp.no_grad():
        before = model(x).numpy()
        copied = copy.deepcopy(model)
        copied.weight.assign(cp.zeros((2, 1)))
        np.testing.assert_array_equal(model(x).numpy(), before)
        np.testing.assert_array_equal(copied(x).numpy(), np.broadcast_to(copied.bias.numpy(), (3, 1)))
