"""``why`` names cause, node and source line of planted faults."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.lens.places import line_of, normal

import clearprop as cp
import clearprop.functional as F  # noqa: N812
from clearprop import nn, optim
from clearprop.lens import Tape
from clearprop.lens.findings import findings

# No gradient at all ---------------------------------------------------------------------------------------------------


def test_a_detached_parameter() -> None:
    first, second = nn.Linear(4, 8), nn.Linear(8, 2)
    with cp.record() as tape:
        h = F.relu(first(normal(5, 4)))
        h.numpy().mean()  # to look at it, which cuts nothing
        loss = (second(h.detach()) ** 2).mean()  # the cut
        loss.backward()
    for parameter in (first.weight, first.bias):
        cause = tape.why(parameter)
        assert (cause.kind, cause.row) == ("none", tape["h"])
        assert cause.words == "detach() cuts h off from what follows"
        assert cause.where.startswith(line_of("# the cut"))
        assert not cause.is_healthy
    assert tape.why(second.weight).is_healthy


def test_cuts_by_no_grad_stop_gradient_numpy_and_what_has_no_derivative() -> None:
    def cut_by(cut: Callable[[cp.Tensor], cp.Tensor]) -> tuple[str, str]:
        w, v = cp.Parameter([1.5, 2.5], name="w"), cp.Parameter([1.0, 1.0], name="v")
        with cp.record() as tape:
            h = w * 2.0
            (cut(h) * v).sum().backward()
        assert tape.why("w").row is tape["h"]
        return tape.why("w").words, tape.why("w").where

    def under_no_grad(h: cp.Tensor) -> cp.Tensor:
        with cp.no_grad():
            return h * 3.0  # not recorded

    def in_numpy(h: cp.Tensor) -> cp.Tensor:
        return cp.asarray(np.exp(h.numpy()))  # no history

    words, where = cut_by(under_no_grad)
    assert "no_grad()" in words
    assert "# not recorded" in where
    words, where = cut_by(in_numpy)
    assert "NumPy" in words
    assert "# no history" in where
    assert "stop_gradient makes a constant of h" in cut_by(cp.stop_gradient)[0]
    assert cut_by(cp.floor)[0] == "floor of h has no gradient"


def test_a_parameter_that_is_not_used_or_leads_nowhere() -> None:
    used, unused, aside = (cp.Parameter(2.0, name=name) for name in ("used", "unused", "aside"))
    with cp.record() as tape:
        other = aside * 3.0  # leads nowhere
        loss = used * used
        loss.backward()
    assert "unused was not used" in tape.why(unused).words
    cause = tape.why("aside")
    assert cause.words == "loss does not depend on aside: what is computed from it ends with other = aside · 3"
    assert cause.where.startswith(line_of("# leads nowhere"))
    assert cause.row is tape[other]


def test_keeping_weights_is_no_cut() -> None:
    """What copies the values of a network, as a checkpoint does, is not why a parameter has no gradient."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with cp.record() as tape:
        model.state_dict()
        cp.sum(model[0](cp.ones((1, 2)))).backward()
        optimizer.step()
        optimizer.state_dict()
    assert "was not used" in str(tape.why(model[1].weight))


def test_a_parameter_that_was_only_seen_under_no_grad() -> None:
    w, v = cp.Parameter(2.0, name="w"), cp.Parameter(1.0, name="v")
    with cp.record() as tape:
        with cp.no_grad():
            scale = w * 2.0  # here
        (scale * v).backward()
    cause = tape.why(w)
    assert "w is used inside no_grad()" in cause.words
    assert cause.where.startswith(line_of("# here"))


def test_a_frozen_module() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    model[0].requires_grad_(False)
    with cp.record() as tape:
        (model(normal(5, 3)) ** 2).mean().backward()
    for cause in (tape.why(model[0].weight), tape.why("0.weight")):
        assert (cause.kind, cause.words) == ("frozen", "0.weight is frozen: its requires_grad is False")
        assert "requires_grad = True" in cause.advice
    assert tape.why("2.weight").is_healthy


def test_no_backward_pass_and_one_for_others() -> None:
    x, w = cp.Parameter(2.0, name="x"), cp.Parameter(3.0, name="w")
    with cp.record() as tape:
        x * w
    assert "no backward pass was recorded" in tape.why(w).words
    with cp.record() as tape:
        cp.grad(lambda x: x * w)(x.value)
    assert "asked for gradients of others only" in tape.why(w).words


def test_an_own_rule_that_returns_none() -> None:
    class Half(cp.Function):
        @staticmethod
        def forward(ctx: object, x: cp.Tensor, y: cp.Tensor) -> cp.Tensor:
            return x * y

        @staticmethod
        def backward(ctx: object, dz: cp.Tensor) -> tuple[cp.Tensor, None]:
            return dz, None

    x, w = cp.Parameter(2.0, name="x"), cp.Parameter(3.0, name="w")
    with cp.record() as tape:
        Half.apply(x.value, w.value).backward()
    assert tape.why(w).words == "the backward of Half returned None for w"


def test_a_run_that_raised_before_its_backward_pass() -> None:
    w = cp.Parameter([1.0, 2.0], name="w")
    with pytest.raises(cp.ShapeError), cp.record() as tape:
        cp.exp(w) + cp.ones(3)
    assert "ShapeError" in tape.why(w).words


# Zero, tiny, huge -----------------------------------------------------------------------------------------------------


def test_a_dead_relu_layer() -> None:
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
    model[0].bias.assign(np.full(16, -50.0))
    with cp.record() as tape:
        loss = F.cross_entropy(model(normal(8, 4)), cp.tensor([0, 1] * 4))  # a dead layer
        loss.backward()
    cause = tape.why(model[0].weight)
    assert cause.kind == "zero"
    assert cause.words.startswith("relu 1: 100 % of its inputs are negative")
    assert cause.row is not None
    assert cause.row.primitive == "relu"
    assert cause.numbers == {"negative": 1.0}
    assert cause.where.startswith(line_of("# a dead layer"))
    assert "its other factor, #6, is zero" in tape.why(model[2].weight).words  # what the dead layer gives


def test_a_layer_that_is_nearly_dead() -> None:
    rng = np.random.default_rng(1)
    first, second = nn.Linear(4, 50), nn.Linear(50, 1)
    first.bias.assign(np.where(np.arange(50) == 0, 20.0, -50.0))
    with cp.record() as tape:
        (second(F.relu(first(cp.tensor(rng.normal(size=(8, 4)).astype(np.float32))))) ** 2).mean().backward()
    cause = tape.why(first.weight)
    assert (cause.kind, cause.numbers["negative"]) == ("zero", 0.98)
    assert "98 % of its inputs are negative" in cause.words


def test_zeros_among_the_factors() -> None:
    first, second = nn.Linear(3, 4), nn.Linear(4, 1)
    second.weight.assign(np.zeros((4, 1)))
    with cp.record() as tape:
        (second(cp.tanh(first(normal(5, 3)))) - 1.0).sum().backward()
    cause = tape.why(first.weight)
    assert cause.kind == "zero"
    assert "its other factor, weight, is zero everywhere" in cause.words
    assert cause.row is not None
    assert cause.row.primitive == "matmul"


def test_saturated_sigmoids_in_depth() -> None:
    layers = [nn.Linear(6, 6) for _ in range(8)]
    for layer in layers:
        layer.weight.assign(np.eye(6) * 0.1)
        layer.bias.assign(np.full(6, 5.0))
    with cp.record() as tape:
        h = normal(5, 6)
        for layer in layers:
            h = F.sigmoid(layer(h))  # eight times
        (h**2).mean().backward()
    cause = tape.why(layers[0].weight)
    assert cause.kind == "tiny"
    assert cause.words.startswith("8 saturated sigmoids multiply it by ")
    assert cause.numbers["count"] == 8
    assert cause.where.startswith(line_of("# eight times"))
    assert tape.why(layers[-1].weight).is_healthy


def test_an_exploding_recurrent_weight() -> None:
    weight = cp.Parameter(40.0 * np.eye(3), name="weight")
    h = cp.tensor(np.full((1, 3), 1e-60))
    with cp.record() as tape:
        for _ in range(40):
            h = h @ weight  # the step
        (h**2).sum().backward()
    cause = tape.why(weight)
    assert cause.kind == "huge"
    assert cause.row is not None
    assert cause.row.primitive == "matmul"
    assert "factor 40 at matmul" in cause.words
    assert "times" in cause.words
    assert cause.where.startswith(line_of("# the step"))


def test_a_recurrent_network_that_overflows() -> None:
    rnn = nn.RNN(2, 3, nonlinearity="relu")
    rnn.weight_hh_l0.assign(40.0 * np.eye(3))
    rnn.weight_ih_l0.assign(np.ones((2, 3)))
    with cp.record() as tape:
        _, h = rnn(cp.ones((50, 1, 2)))  # overflows
        (h**2).sum().backward()
    cause = tape.why(rnn.weight_hh_l0)
    assert cause.kind == "nan"
    assert "matmul" in cause.words
    assert "times by 40" in cause.words
    assert cause.where.startswith(line_of("# overflows"))


def test_a_learning_rate_that_is_too_large() -> None:
    x, y = normal(16, 3), normal(16, 1, seed=1)
    model = nn.Linear(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=5.0)
    with cp.record() as tape:
        for _ in range(5):
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
    cause = tape.why(model.weight)
    assert cause.kind == "growing"
    assert "the updates are too large" in cause.words
    assert "learning rate" in cause.advice
    assert cause.numbers["steps"] == 5


def test_a_learning_rate_that_ends_in_nan_is_named_as_the_cause() -> None:
    x, y = normal(16, 3), normal(16, 1, seed=1)
    w = cp.Parameter(np.ones((3, 1), np.float32), name="w")
    optimizer = optim.SGD([w], lr=1e8)
    with cp.record() as tape:
        for _ in range(6):
            optimizer.zero_grad()
            ((x @ w - y) ** 2).mean().backward()
            optimizer.step()
    assert np.isnan(w.numpy()).any()
    assert tape.why(w).kind == "growing"


def test_a_target_of_another_shape() -> None:
    model, target = nn.Linear(3, 1), normal(8)
    with cp.record() as tape:
        loss = ((model(normal(8, 3)) - target) ** 2).mean()  # (8, 1) - (8,)
        loss.backward()
    cause = tape.why(model.weight)
    assert cause.kind == "broadcast"
    assert "shapes (8, 1) and (8,) were broadcast to (8, 8)" in cause.words
    assert cause.row is not None
    assert cause.row.primitive == "subtract"
    assert cause.where.startswith(line_of("# (8, 1) - (8,)"))


def test_pairwise_differences_are_no_fault() -> None:
    w = cp.Parameter(np.arange(1.0, 5.0), name="w")
    with cp.record() as tape:
        ((cp.reshape(w, (4, 1)) - w) ** 2).mean().backward()
    assert tape.why(w).is_healthy


def test_a_parameter_used_twice() -> None:
    table = nn.Embedding(10, 4)
    with cp.record() as tape:
        h = cp.tanh(table(cp.tensor([1, 2, 3])))
        logits = h @ table.weight.value.mT
        F.cross_entropy(logits, cp.tensor([2, 3, 4])).backward()
    cause = tape.why(table.weight)
    assert cause.is_healthy
    assert cause.numbers["uses"] == 2
    assert "It is used 2 times" in cause.words


def test_a_bias_in_front_of_a_normalization_has_no_effect_and_is_no_fault() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    with cp.record() as tape:
        F.cross_entropy(model(normal(16, 4)), cp.tensor([0, 1] * 8)).backward()
    cause = tape.why(model[0].bias)
    assert cause.is_healthy
    assert cause.kind == "cancels"
    assert tape.why(model[0].weight).kind == "healthy"


# The answers themselves -----------------------------------------------------------------------------------------------


def small_tape() -> Tape:
    w = cp.Parameter([-1.0, -2.0], name="w")
    with cp.record() as tape:
        F.relu(w).sum().backward()
    return tape


@pytest.mark.parametrize("width", [40, 80])
def test_answers_fit_the_width(width: int) -> None:
    cause = small_tape().why("w")
    assert all(sum(len(span.text) for span in line) <= width for line in cause.lines(width))
    assert str(cause).startswith("w: zero\n  relu #2: 100 % of its inputs")


def test_answers_as_data() -> None:
    cause = small_tape().why("w").as_dict()
    assert cause["kind"] == "zero"
    assert cause["healthy"] is False
    assert cause["numbers"] == {"negative": 1.0}
    assert small_tape().birth_of_nan().as_dict()["found"] is False


def test_a_name_that_is_unknown() -> None:
    with pytest.raises(cp.UsageError, match="'v'"):
        small_tape().why("v")


def test_nan_from_the_first_step_on_is_not_taken_for_growth() -> None:
    w = cp.Parameter([1.0, 0.0], name="w")
    with cp.record() as tape:
        for _ in range(4):
            loss = cp.log(w * 0.0).sum()
            loss.backward()
            assert w.grad is not None
            w.assign(w.value - w.grad)
            w.grad = None
    assert tape.why(w).kind == "nan"
    assert "log" in tape.why(w).words


def test_a_mask_that_hides_everything() -> None:
    scores = cp.Parameter([[1.0, 2.0], [3.0, 4.0]], name="scores")
    with cp.record() as tape:
        masked = cp.where(cp.tensor([[True, False], [False, False]]), scores, -float("inf"))
        F.softmax(masked).sum().backward()  # nothing is left
    birth = tape.birth_of_nan()
    assert birth.row is not None
    assert birth.row.primitive == "subtract"
    assert "∞ - ∞ has no value" in birth.words
    assert birth.where.startswith(line_of("# nothing is left"))


def test_inputs_that_are_not_normalized() -> None:
    model = nn.Linear(3, 1)
    x = normal(16, 3) * 1e4
    with cp.record() as tape:
        F.mse_loss(model(x), normal(16, 1)).backward()
    cause = tape.why(model.weight)
    assert cause.kind == "huge"
    assert "normalized inputs" in cause.advice


def test_nan_inside_a_checkpoint_is_found_there() -> None:
    w = cp.Parameter([1.0, 2.0], name="w")
    with cp.record() as tape:
        part = cp.checkpoint(lambda x: cp.log(x) * x)  # in here
        part(w * 0.0).sum().backward()
    birth = tape.birth_of_nan()
    assert birth.row is not None
    assert birth.row.primitive == "log"
    assert birth.where.startswith("test_why.py")
    assert "# in here" in birth.where


def test_findings_tell_the_birth_once() -> None:
    model = nn.Linear(2, 1)
    with cp.record() as tape:
        cp.log(model(normal(3, 2)) * 0.0).sum().backward()
    found = findings(tape)
    assert not found.is_healthy
    assert str(found).count("logarithm") == 1
    assert "weight, bias" in str(found)
    assert found.groups() == []


def test_a_buffer_gets_no_gradient() -> None:
    norm = nn.BatchNorm1d(3)
    with cp.record() as tape:
        norm(normal(4, 3)).sum().backward()
    assert "is a Buffer" in tape.why(norm.running_mean).words


def test_answers_in_a_notebook_are_escaped() -> None:
    w = cp.Parameter([-1.0], name="<script>")
    with cp.record() as tape:
        F.relu(w).sum().backward()
    for answer in (tape.why(w), tape.explain(w), tape.paths(tape.rows[-1], w), tape.birth_of_nan(), findings(tape)):
        html = answer._repr_html_()
        assert "<pre>" in html
        assert "<script>" not in html
    assert "&lt;script&gt;" in tape.why(w)._repr_html_()


def test_a_bias_that_a_gradient_penalty_does_not_depend_on() -> None:
    model = nn.Linear(3, 1)
    with cp.record() as tape:
        slope = cp.grad(lambda x: model(x).sum())(normal(4, 3))
        penalty = (slope**2).sum()
        penalty.backward()
    assert tape.why(model.weight).is_healthy
    assert tape.why(model.bias).words.startswith("penalty does not depend on bias")


def test_contributions_that_cancel_to_the_bit() -> None:
    bias = cp.Parameter([0.0], name="bias")
    with cp.record() as tape:
        h = cp.tensor([1.0, 3.0]) + bias
        loss = ((h - h.mean()) * cp.tensor([1.0, 2.0])).sum()
        loss.backward()
    assert float(tape[bias].gradient[0]) == 0.0
    assert tape.why(bias).kind == "cancels"
