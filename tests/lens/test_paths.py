"""Contributions by path add up to the gradient; ``explain`` takes it apart, factor by factor."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cp
import clearprop.functional as F  # noqa: N812
from clearprop import nn
from clearprop.lens import Tape
from clearprop.lens.paths import Paths


def normal(*shape: int, seed: int = 0) -> cp.Tensor:
    return cp.tensor(np.random.default_rng(seed).normal(size=shape))


def check(paths: Paths, gradient: cp.Tensor | None) -> None:
    """The contributions of the groups add up to the gradient, their shares to 1, their paths to all paths."""
    assert gradient is not None
    scale = np.abs(gradient.numpy()).max()
    total = sum(np.asarray(group.contribution) for group in paths.groups)
    np.testing.assert_allclose(total, gradient.numpy(), rtol=0, atol=1e-12 * scale)
    np.testing.assert_allclose(paths.total, gradient.numpy(), rtol=0, atol=1e-12 * scale)
    assert sum(group.share for group in paths.groups) == pytest.approx(1.0)


def float64(module: nn.Module) -> nn.Module:
    return module.to(cp.float64)


class Residual(nn.Module):
    """An MLP with three skip connections."""

    def __init__(self) -> None:
        self.first = nn.Linear(4, 6)
        self.blocks = nn.ModuleList([nn.Linear(6, 6) for _ in range(3)])
        self.last = nn.Linear(6, 1)

    def forward(self, x: cp.Tensor) -> cp.Tensor:
        h = self.first(x)
        for block in self.blocks:
            h = h + cp.tanh(block(h))
        return self.last(h)


def residual_tape() -> tuple[Residual, Tape, cp.Tensor]:
    model = Residual()
    float64(model)
    with cp.record() as tape:
        loss = (model(normal(5, 4))).mean()
        loss.backward()
    return model, tape, loss


def test_by_hand() -> None:
    # loss = h * h + 3 w with h = w x: d loss / d w = 2 h x + 3 = (2 * 6 * 2) + 3
    x, w = cp.tensor(2.0), cp.Parameter(3.0, name="w")
    with cp.record() as tape:
        h = w * x
        loss = h * h + w * 3.0
        loss.backward()
    paths = tape.paths(loss, w)
    assert paths.count == 3
    assert [float(group.contribution) for group in paths.groups] == [12.0, 12.0, 3.0]
    assert [group.share for group in paths.groups] == [12 / 27, 12 / 27, 3 / 27]
    assert [[row.label for row in group.rows] for group in paths.groups][2][-1] == "w"
    by_use = tape.paths("loss", "w", "use")
    assert [(float(group.contribution), group.paths) for group in by_use.groups] == [(24.0, 2), (3.0, 1)]
    through = tape.paths(loss, w, [h])
    assert {group.title: float(group.contribution) for group in through.groups} == {"through h": 24.0, "past h": 3.0}


@pytest.mark.parametrize("by", [None, "path", "use", "module", "branch"])
def test_skip_connections(by: str | None) -> None:
    model, tape, loss = residual_tape()
    paths = tape.paths(loss, model.first.weight, by)
    assert paths.count == 2**3  # at each of three blocks, past it or through it
    check(paths, model.first.weight.grad)


def test_skip_against_branch() -> None:
    model, tape, loss = residual_tape()
    paths = tape.paths(loss, model.first.weight, "branch")
    assert len(paths.groups) == 8
    (past_all,) = [group for group in paths.groups if group.title == "past all 3 branches"]
    # Past all blocks the gradient of h is that of the last layer's input.
    weight = model.last.weight.numpy()
    upstream = np.full((5, 1), 1 / 5) @ weight.T  # (5, 1) @ (1, 6) -> (5, 6)
    np.testing.assert_allclose(past_all.contribution, normal(5, 4).numpy().T @ upstream, rtol=1e-12)


def test_shared_weights() -> None:
    w = cp.Parameter(np.random.default_rng(0).normal(size=(3, 3)), name="w")
    with cp.record() as tape:
        h = normal(4, 3)
        for _ in range(5):
            h = cp.tanh(h @ w) + 0.5 * h
        loss = (h**2).sum()
        loss.backward()
    paths = tape.paths(loss, w, "use")
    assert len(paths.groups) == 5
    assert [group.title[:6] for group in paths.groups] == [f"use {i}:" for i in range(1, 6)]
    check(paths, w.grad)
    check(tape.paths(loss, w), w.grad)


def recurrent(kind: str) -> tuple[Tape, cp.Tensor, cp.Parameter]:
    """A tape of a recurrent network over 50 time steps, the loss, and the recurrent weight."""
    xs = normal(50, 2, 3)
    if kind in ("RNN", "LSTM", "GRU"):
        network = float64(getattr(nn, kind)(3, 4))
        with cp.record() as tape:
            outputs, _ = network(xs)
            loss = (outputs[-1] ** 2).mean()
            loss.backward()
        weight: cp.Parameter = network.weight_hh_l0
        return tape, loss, weight
    weight = cp.Parameter(0.4 * np.random.default_rng(1).normal(size=(3, 3)), name="W")

    def step(h: cp.Tensor, x: cp.Tensor) -> tuple[cp.Tensor, cp.Tensor]:
        h = cp.tanh(h @ weight + x)
        return h, h

    with cp.record() as tape:
        h = cp.zeros((2, 3), dtype=cp.float64)
        if kind == "scan":
            h, _ = cp.scan(step, h, xs)
        else:
            for x in xs:
                h, _ = step(h, x)
        loss = (h * h).mean()
        loss.backward()
    return tape, loss, weight


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "scan", "loop"])
def test_fifty_time_steps(kind: str) -> None:
    tape, loss, weight = recurrent(kind)
    paths = tape.paths(loss, weight, "use")
    assert len(paths.groups) == 50
    check(paths, weight.grad)
    late = sum(group.norm for group in paths.groups[-10:])
    assert late > 100 * sum(group.norm for group in paths.groups[:10])  # what is long ago hardly counts
    check(tape.paths(loss, weight, "path", limit=8), weight.grad)
    check(tape.paths(loss, weight), weight.grad)


def test_more_groups_than_wanted_are_put_together_and_counted() -> None:
    tape, loss, weight = recurrent("LSTM")
    paths = tape.paths(loss, weight, "path", limit=10)
    *known, others = paths.groups
    assert len(known) == 10
    assert others.title.startswith("other ")
    assert others.title.endswith(" paths, the smallest")
    assert others.paths == paths.count - sum(group.paths for group in known) > 10**9
    assert all(group.paths == 1 for group in known)
    check(paths, weight.grad)


def test_the_work_is_linear_in_the_groups() -> None:
    """With 2**40 paths, grouping by module takes one pass over the graph, as backpropagation does."""
    w, calls = cp.Parameter(0.5, name="w"), 0

    def counted(g: cp.Tensor) -> None:
        nonlocal calls
        calls += 1

    class Twice(cp.Function):
        @staticmethod
        def forward(ctx: object, x: cp.Tensor) -> cp.Tensor:
            return x * 0.5

        @staticmethod
        def backward(ctx: object, dz: cp.Tensor) -> cp.Tensor:
            counted(dz)
            return dz * 0.5

    with cp.record() as tape:
        h = w.value * 1.0
        for _ in range(40):
            h = Twice.apply(h) + h
        h.backward()
    calls = 0
    paths = tape.paths(h, w, "module")
    assert (paths.count, len(paths.groups), calls) == (2**40, 1, 40)
    check(paths, w.grad)


def test_attention_heads() -> None:
    attention, x = float64(nn.MultiheadAttention(8, 4, batch_first=True)), normal(2, 5, 8)
    target = normal(2, 5, 8, seed=1)
    with cp.record() as tape:
        y, _ = attention(x, x, x, is_causal=True)
        loss = ((y - target) ** 2).mean()
        loss.backward()
    for parameter in (attention.in_proj_weight, attention.in_proj_bias):
        paths = tape.paths(loss, parameter, "head")
        assert [group.title for group in paths.groups] == ["head 0", "head 1", "head 2", "head 3"]
        check(paths, parameter.grad)
    # Head 0 has the first columns of queries, keys and values to itself.
    own = tape.paths(loss, attention.in_proj_weight, "head").groups[0].contribution
    mine = np.isin(np.arange(24) % 8, [0, 1])
    np.testing.assert_allclose(own[:, mine], attention.in_proj_weight.grad.numpy()[:, mine], rtol=1e-9, atol=1e-15)
    assert not own[:, ~mine].any()


def test_heads_written_by_hand() -> None:
    weight, x = cp.Parameter(np.random.default_rng(0).normal(size=(6, 6)), name="W"), normal(5, 6)
    with cp.record() as tape:
        values = x @ weight
        heads = []
        for i in range(3):
            part = values[:, 2 * i : 2 * i + 2]
            heads.append(F.softmax(part @ part.mT) @ part)
        loss = (cp.concat(heads, axis=-1) ** 2).sum()
        loss.backward()
    paths = tape.paths(loss, weight, "head")
    assert [group.title for group in paths.groups] == ["head 0", "head 1", "head 2"]
    check(paths, weight.grad)
    for i, group in enumerate(paths.groups):
        mine = np.arange(6) // 2 == i
        np.testing.assert_allclose(group.contribution[:, mine], weight.grad.numpy()[:, mine])
        assert not group.contribution[:, ~mine].any()


def test_slices_of_any_node() -> None:
    w = cp.Parameter(np.ones(3), name="w")
    with cp.record() as tape:
        h = cp.reshape(w, (3, 1)) * cp.tensor(np.arange(6.0).reshape(3, 2))
        loss = (h * h).sum()
        loss.backward()
    paths = tape.paths(loss, w, (h, 1))
    assert [group.contribution.tolist() for group in paths.groups] == [[0, 8, 32], [2, 18, 50]]
    with pytest.raises(cp.UsageError, match="no axis 2"):
        tape.paths(loss, w, (h, 2))


def test_several_outputs_checkpoints_and_no_backward_pass_at_all() -> None:
    w = cp.Parameter(np.array([0.3, 0.7]), name="w")
    with cp.record() as tape:
        y = cp.checkpoint(lambda x: cp.exp(x) * w)(w * 2.0)
        loss = (y * w).sum()
    paths = tape.paths(loss, w)
    loss.backward()
    check(paths, w.grad)


def test_the_part_that_comes_through_a_node() -> None:
    x, w = cp.tensor(2.0), cp.Parameter(3.0, name="w")
    with cp.record() as tape:
        h = w * x
        (h * h + w).backward()
    paths = tape.paths(h, w)
    assert (paths.count, float(paths.total)) == (1, 24.0)


def test_no_path_and_wrong_arguments() -> None:
    w, v = cp.Parameter(3.0, name="w"), cp.Parameter(4.0, name="v")
    with cp.record() as tape:
        loss, vector = w * w, cp.reshape(v, (1,)) * 2.0
    assert "no gradient flows" in str(tape.paths(loss, v))
    with pytest.raises(cp.UsageError, match="by='time'"):
        tape.paths(loss, w, "time")
    with pytest.raises(cp.UsageError, match="limit=0"):
        tape.paths(loss, w, limit=0)
    with pytest.raises(cp.UsageError, match="no gradient has arrived"):
        tape.paths(vector, v)
    with pytest.raises(cp.UsageError, match="no attention heads"):
        tape.paths(loss, w, "head")


def test_contributions_that_cancel_are_remarked_on() -> None:
    w = cp.Parameter(3.0, name="w")
    with cp.record() as tape:
        loss = w * 2.0 - w * 2.0
        loss.backward()
    paths = tape.paths(loss, w)
    assert "cancel" in paths.remarks[0]
    assert all(np.isnan(group.share) for group in paths.groups)


def test_a_hook_is_remarked_on() -> None:
    w = cp.Parameter(3.0, name="w")
    with cp.record() as tape:
        h = w * 2.0
        h.register_hook(lambda g: g * 10.0)
        loss = h * h
        loss.backward()
    assert "a hook at h" in tape.paths(loss, w).remarks[0]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_answers_fit_the_width(width: int) -> None:
    model, tape, loss = residual_tape()
    for answer in (tape.paths(loss, model.first.weight, "path"), tape.explain(model.first.weight)):
        assert all(sum(len(span.text) for span in line) <= width for line in answer.lines(width)), answer


def test_answers_as_data() -> None:
    model, tape, loss = residual_tape()
    data = tape.paths(loss, model.first.weight).as_dict()
    assert (data["output"], data["input"], data["paths"], len(data["groups"])) == ("loss", "first.weight", 8, 8)
    explained = tape.explain(model.first.weight).as_dict()
    assert explained["paths"] == 8
    assert explained["share"] + sum(other["share"] for other in explained["others"]) == pytest.approx(1.0)


# explain --------------------------------------------------------------------------------------------------------------


def test_explain_numbers() -> None:
    x, w = cp.tensor(2.0), cp.Parameter(3.0, name="w")
    with cp.record() as tape:
        h = w * x
        loss = cp.exp(h) + w
        loss.backward()
    derivation = tape.explain(w)
    factors = [float(edge.local_derivative) for edge in derivation.edges]
    assert np.prod(factors) == pytest.approx(float(derivation.contribution)) == pytest.approx(2 * np.exp(6), rel=1e-6)
    assert [edge.input.label for edge in derivation.edges] == ["#3", "h", "w"]
    (detour,) = derivation.detours
    assert (detour.row, detour.users, detour.paths, float(detour.contribution)) == (tape["w"], [tape[loss]], 1, 1.0)
    assert derivation.share + detour.share == pytest.approx(1.0)
    assert "one of 2" in str(derivation)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "loop"])
def test_explain_takes_the_gradient_apart_whatever_the_number_of_paths(kind: str) -> None:
    tape, _, weight = recurrent(kind)
    derivation = tape.explain(weight)
    parts = [derivation.contribution, *(detour.contribution for detour in derivation.detours)]
    assert weight.grad is not None
    np.testing.assert_allclose(sum(parts), weight.grad.numpy(), rtol=1e-9, atol=1e-15)
    assert derivation.count == 1 + sum(detour.paths for detour in derivation.detours)
    gains = np.prod(derivation.gains)
    assert gains == pytest.approx(np.linalg.norm(derivation.contribution))


def test_the_path_that_dominates_has_the_largest_share() -> None:
    model, tape, loss = residual_tape()
    shares = [group.share for group in tape.paths(loss, model.first.weight, "path").groups]
    assert tape.explain(model.first.weight).share == pytest.approx(max(shares))


def test_a_long_path_is_shown_by_its_ends() -> None:
    w = cp.Parameter(0.5, name="w")
    with cp.record() as tape:
        h = w * 1.0
        for _ in range(100):
            h = cp.tanh(h)
        h.backward()
    text = str(tape.explain(w))
    assert len(text.splitlines()) < 60
    assert "61 more edges" in text


def test_explain_without_a_gradient() -> None:
    w = cp.Parameter(0.5, name="w")
    with cp.record() as tape:
        w * 1.0
    with pytest.raises(cp.UsageError, match="no recorded backward pass"):
        tape.explain(w)


def test_a_tape_of_a_compiled_run_has_no_paths() -> None:
    w = cp.Parameter(np.ones(2), name="w")

    def step(x: cp.Tensor) -> None:
        h = w * x
        (h * h).sum().backward()

    compiled = cp.compile(step, watch=["h", w])
    compiled(cp.ones(2, dtype=cp.float64))
    for question in (compiled.tape.why, compiled.tape.explain, lambda w: compiled.tape.paths("h", w)):
        with pytest.raises(cp.UsageError, match="tape of a compiled run"):
            question(w)


def test_numbers_of_paths_beyond_all_measure() -> None:
    w = cp.Parameter(1.0, name="w")
    with cp.record() as tape:
        h = w.value * 1.0
        for _ in range(400):
            h = (h + h + h + h + h + h + h + h + h + h) * 0.1
        h.backward()
    paths = tape.paths(h, w, "module")
    assert paths.count == 10**400
    assert "1.0e+400 paths" in str(paths)
    json.dumps(paths.as_dict())
    explained = tape.explain(w)
    assert explained.count == 10**400
    json.dumps(explained.as_dict())
    assert tape.why(w).is_healthy
    json.dumps(tape.why(w).as_dict())


_OPERATIONS = st.sampled_from(["add", "subtract", "multiply", "tanh"])


@given(
    st.lists(st.tuples(_OPERATIONS, st.integers(0), st.integers(0)), max_size=14),
    st.sampled_from([None, "path", "use", "module", "branch"]),
    st.integers(1, 6),
)
def test_any_graph(program: list[tuple[str, int, int]], by: str | None, limit: int) -> None:
    w = cp.Parameter(np.array([0.7, -1.1]), name="w")
    with cp.record() as tape:
        values = [w * 1.0]
        for name, i, j in program:
            x, y = values[i % len(values)], values[j % len(values)]
            values.append(cp.tanh(x) if name == "tanh" else getattr(cp, name)(cp.tanh(x), y))
        loss = values[-1].sum()
        loss.backward()
    assert w.grad is not None
    paths, derivation = tape.paths(loss, w, by, limit=limit), tape.explain(w)
    assert len(paths.groups) <= limit + 1
    assert sum(group.paths for group in paths.groups) == paths.count
    parts = [group.contribution for group in paths.groups]
    scale = 1.0 + max(np.abs(part).max() for part in parts)
    np.testing.assert_allclose(sum(parts), w.grad.numpy(), rtol=0, atol=1e-12 * scale)
    others = [detour.contribution for detour in derivation.detours]
    scale = 1.0 + max(np.abs(part).max() for part in [derivation.contribution, *others])
    np.testing.assert_allclose(sum([derivation.contribution, *others]), w.grad.numpy(), rtol=0, atol=1e-12 * scale)
    assert derivation.count == 1 + sum(detour.paths for detour in derivation.detours) == paths.count
