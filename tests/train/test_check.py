"""`cp.check`: planted faults are named rightly, healthy networks pass, and the user's objects stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.train.networks import blobs, images, mlp, numbers, run, sequences, tokens
from tests.train.small import assert_same_weights, weights
from tests.train.test_health_advice import HEALTHY, Cut

import clearprop as cp
from clearprop import data, models, nn
from clearprop.recipes import RECIPES
from clearprop.train import Check

Batch = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def classes(examples: int = 32) -> Batch:
    return blobs(examples)


def check(model: nn.Module, batch: Batch | None = None, loss: Any = None) -> Check:
    return cp.check(model, loss or nn.CrossEntropyLoss(), batch or classes())


def failed(result: Check, status: Any = "failed") -> list[str]:
    return [finding.name for finding in result.of(status)]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    cp.random.seed(0)


# Planted faults ------------------------------------------------------------------------------------------------------


def squared(output: Any, target: Any) -> Any:
    return ((output - target) ** 2).mean()


def test_a_target_that_is_broadcast() -> None:
    x, y = numbers(32)
    result = check(mlp(16, 32, 1), (x, y[:, 0]), squared)
    finding = result["shape of the target"]
    assert finding.status == "failed"
    assert not result.ok
    assert "the output is (32, 1) and the target (32,)" in finding.text
    assert "(32, 32)" in finding.text
    assert finding.hint.startswith("target[:, None]")


class Flat(nn.Module):
    """Gives one number for each example, without an axis for it."""

    def __init__(self) -> None:
        self.layer = nn.Linear(16, 1)

    def forward(self, x: Any) -> Any:
        return self.layer(x)[:, 0]


def test_a_prediction_that_is_broadcast() -> None:
    finding = check(Flat(), numbers(32), squared)["shape of the target"]
    assert finding.status == "failed"
    assert finding.hint.startswith("output")


def test_a_detached_parameter() -> None:
    result = check(Cut())
    finding = result["gradients"]
    assert finding.status == "failed"
    assert "2 of 4 parameters: first.weight, first.bias" in finding.text
    assert "test_health_advice.py" in finding.text


class Unused(nn.Module):
    def __init__(self) -> None:
        self.layer, self.spare = nn.Linear(16, 4), nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return self.layer(x)


def test_a_parameter_that_is_not_used() -> None:
    assert "spare.weight, spare.bias" in check(Unused())["gradients"].text


def test_a_frozen_module_is_a_warning() -> None:
    model = mlp(16, 32, 4)
    for parameter in model[0].parameters():
        parameter.requires_grad = False
    result = check(model)
    assert failed(result, "warning") == ["frozen parameters"]
    assert result.ok
    assert "2 of 4 are not trained" in result["frozen parameters"].text


def test_a_layer_that_is_dead() -> None:
    model = mlp(16, 32, 32, 4)
    model[2].bias.assign(np.full(32, -30.0, np.float32))
    finding = check(model)["gradients"]
    assert finding.status == "warning"
    assert "0.weight" in finding.text
    assert "is 0 in every element" in finding.text


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (nn.CrossEntropyLoss(reduction="sum"), "32 times the usual 1.39, as many as there are examples"),
        (lambda output, target: 1000 * cp.functional.cross_entropy(output, target), "1e+03 times the usual 1.39"),
    ],
)
def test_a_loss_of_a_wrong_scale(loss: Any, words: str) -> None:
    finding = check(mlp(16, 32, 4), loss=loss)["loss at the beginning"]
    assert finding.status == "warning"
    assert words in finding.text


def test_first_weights_that_are_too_large() -> None:
    model = mlp(16, 32, 4)
    model[2].weight.assign(model[2].weight.value * 100.0)
    finding = check(model)["loss at the beginning"]
    assert finding.status == "warning"
    assert "ln 4 = 1.39" in finding.text


class Mixing(nn.Module):
    """A softmax over the wrong axis: that of the examples."""

    def __init__(self) -> None:
        self.first, self.last = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x: Any) -> Any:
        return self.last(cp.functional.softmax(self.first(x), dim=0) * 10.0)


class Centred(nn.Module):
    """Subtracts the mean of the batch."""

    def __init__(self) -> None:
        self.layer = nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        return self.layer(x - cp.mean(x, axis=0))


@pytest.mark.parametrize("model", [Mixing, Centred])
def test_a_network_that_mixes_examples(model: type[nn.Module]) -> None:
    finding = check(model())["examples alone"]
    assert finding.status == "failed"
    assert "influence one another" in finding.text


def test_batch_normalization_is_a_known_reason_for_mixing() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 4))
    finding = check(model, images(16))["examples alone"]
    assert finding.status == "passed"
    assert "but for batch normalization" in finding.text


@pytest.mark.parametrize("where", [0, 1])
def test_data_that_are_not_finite(where: int) -> None:
    batch = tuple(array.copy() for array in numbers(32))
    batch[where][3, 0] = np.nan
    result = check(mlp(16, 32, 1), batch, nn.MSELoss())  # type: ignore[arg-type]
    assert failed(result) == ["data"]
    assert "the first at (3, 0)" in result["data"].text
    assert len(result.findings) == 1


def test_labels_that_are_no_classes() -> None:
    x, y = classes()
    result = check(mlp(16, 32, 3), (x, y))
    assert failed(result) == ["labels"]
    assert "no classes of the 3 outputs, such as 3" in result["labels"].text


def test_inputs_that_are_not_normalized() -> None:
    x, y = classes()
    finding = check(mlp(16, 32, 4), (x * 100.0 + 120.0, y))["scale of inputs"]
    assert finding.status == "warning"
    assert "mean 142 and standard deviation 177" in finding.text


def test_a_net_of_sigmoids_that_is_too_deep_learns_nothing_by_heart() -> None:
    finding = check(mlp(16, *[16] * 12, 4, activation=nn.Sigmoid))["a few by heart"]
    assert finding.status == "failed"
    assert "% of the labels are right" in finding.text


class WrongRule(cp.Function):
    """A square whose rule forgets the factor 2."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * x


class Wrong(nn.Module):
    def __init__(self) -> None:
        self.first, self.last = nn.Linear(16, 32), nn.Linear(32, 4)

    def forward(self, x: Any) -> Any:
        return self.last(WrongRule.apply(self.first(x)))


def test_a_rule_that_is_wrong() -> None:
    finding = check(Wrong())["numerical gradients"]
    assert finding.status == "failed"
    assert "relative error" in finding.text


class LogOfNegative(nn.Module):
    def __init__(self) -> None:
        self.layer = nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        return cp.log(self.layer(x))


def test_a_loss_that_is_not_finite_says_where_it_comes_from() -> None:
    finding = check(LogOfNegative())["loss at the beginning"]
    assert finding.status == "failed"
    assert "log" in finding.text
    assert "test_check.py" in finding.text


def test_a_network_that_does_not_fit_its_data() -> None:
    result = check(mlp(15, 4))
    assert failed(result) == ["output"]
    assert "16" in result["output"].text


def test_a_loss_that_is_no_number() -> None:
    result = check(mlp(16, 4), loss=lambda output, target: output)
    assert failed(result) == ["loss at the beginning"]
    assert result["loss at the beginning"].hint == "loss.mean()"


# No false alarms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in HEALTHY if name != "a sum as the loss"])
def test_a_healthy_network_passes(name: str) -> None:
    one = HEALTHY[name]()
    result = check(one.model, tuple(array[:32] for array in one.arrays), one.loss)  # type: ignore[arg-type]
    assert failed(result) == failed(result, "warning") == [], str(result)


def test_the_recipe_passes() -> None:
    task = RECIPES["digits"].task(RECIPES["digits"].settings, None)
    result = check(task.model, next(iter(task.data)))
    assert failed(result) == failed(result, "warning") == [], str(result)


class Language(nn.Module):
    """Gives (N, tokens, vocabulary)."""

    def __init__(self) -> None:
        self.embedding, self.rnn, self.head = nn.Embedding(20, 16), nn.GRU(16, 16, batch_first=True), nn.Linear(16, 20)

    def forward(self, x: Any) -> Any:
        return self.head(self.rnn(self.embedding(x))[0])


def test_a_language_model_passes() -> None:
    text, _ = tokens(16)

    def loss(output: Any, target: Any) -> Any:
        return cp.functional.cross_entropy(output.reshape((-1, 20)), target.reshape((-1,)))

    result = check(Language(), (text[:, :-1], text[:, 1:]), loss)
    assert failed(result) == failed(result, "warning") == [], str(result)
    assert result["labels"].text.endswith("of 20 classes are in the batch")


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        self.left, self.right = nn.Linear(16, 4), nn.Linear(16, 4)

    def forward(self, a: Any, b: Any) -> Any:
        return self.left(a) * self.right(b)


def test_several_inputs() -> None:
    x, y = classes()
    result = cp.check(TwoInputs(), nn.CrossEntropyLoss(), (x, x[:, ::-1].copy(), y))
    assert result.ok, str(result)


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        self.body, self.a, self.b = nn.Linear(16, 8), nn.Linear(8, 4), nn.Linear(8, 1)

    def forward(self, x: Any) -> Any:
        h = cp.functional.relu(self.body(x))
        return self.a(h), self.b(h)


def test_several_outputs() -> None:
    def loss(outputs: Any, target: Any) -> Any:
        return cp.functional.cross_entropy(outputs[0], target) + (outputs[1] ** 2).mean()

    result = check(TwoOutputs(), loss=loss)
    assert failed(result) == [], str(result)


def test_sequences_with_the_time_first_are_left_alone() -> None:
    x, y = sequences(8, 6)
    model = nn.RNN(4, 3)

    def loss(output: Any, target: Any) -> Any:
        return cp.functional.cross_entropy(output[0][-1], target)

    result = check(model, (x.swapaxes(0, 1).copy(), y), loss)
    assert result["examples alone"].status == "skipped"
    assert result["a few by heart"].text.startswith("the whole batch")
    assert result.ok, str(result)


@pytest.mark.parametrize("compile", [None, False])
def test_a_trained_network_passes_too(compile: bool | None) -> None:
    """The gradients that training has left behind are not those of the check."""
    one = HEALTHY["sgd"]()
    run(one, compile=compile)
    result = check(one.model, tuple(array[:32] for array in one.arrays))  # type: ignore[arg-type]
    assert failed(result) == failed(result, "warning") == [], str(result)


class PartlyCompiled(nn.Module):
    def __init__(self) -> None:
        self.first, self.last = nn.Linear(16, 32), nn.Linear(32, 4)
        self.activation = cp.compile(cp.functional.relu)

    def forward(self, x: Any) -> Any:
        return self.last(self.activation(self.first(x)))


def test_a_network_with_a_compiled_function_in_it() -> None:
    model = PartlyCompiled()
    model(cp.ones((2, 16)))
    assert check(model).ok


# Nothing is changed --------------------------------------------------------------------------------------------------


def test_the_users_objects_stay_as_they_are() -> None:
    model = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 4))
    model.eval()
    model[0].training = True
    x, y = classes()
    nn.CrossEntropyLoss()(model(cp.tensor(x)), cp.tensor(y)).backward()
    before, grads = weights(model), {name: p.grad for name, p in model.named_parameters()}
    modes = [module.training for module in model.modules()]
    state = cp.random.default_generator.state_dict()
    check(model, (x, y))
    assert_same_weights(weights(model), before)
    assert all(p.grad is grads[name] for name, p in model.named_parameters())
    assert [module.training for module in model.modules()] == modes
    assert cp.random.default_generator.state_dict() == state


def test_a_loss_that_knows_the_users_weights_changes_nothing() -> None:
    model = nn.Linear(16, 4)

    def loss(output: Any, target: Any) -> Any:
        return cp.functional.cross_entropy(output, target) + 1e-3 * (model.weight * model.weight).sum()

    assert check(model, loss=loss).ok
    assert model.weight.grad is None


def test_the_result_is_the_same_each_time() -> None:
    model = models.image_mlp((1, 8, 8), (32,), 10, dropout=0.5)
    batch = data.digits("train")[:32]
    one = str(check(model, batch))
    cp.random.seed(7)
    assert str(check(model, batch)) == one


# How it reads --------------------------------------------------------------------------------------------------------


def test_it_prints_as_a_list_with_something_to_try() -> None:
    text = str(check(Cut()))
    assert "✗ gradients" in text
    assert "Try: " in text
    assert text.splitlines()[-1].startswith("1 failed, ")
    assert max(map(len, text.splitlines())) <= 100


def test_html_is_escaped() -> None:
    def loss(output: Any, target: Any) -> Any:
        raise cp.UsageError("<script>alert(1)</script>")

    html = check(mlp(16, 4), loss=loss)._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_a_finding_that_is_not_there() -> None:
    with pytest.raises(KeyError, match="there are data"):
        check(mlp(16, 4))["nonsense"]


# Wrong use -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "loss", "batch", "words"),
    [
        (3, nn.CrossEntropyLoss(), classes(), "the model is a int"),
        (nn.Linear(16, 4), nn.CrossEntropyLoss, classes(), "the loss is CrossEntropyLoss"),
        (nn.Linear(16, 4), nn.CrossEntropyLoss(), classes()[0], "a batch must be a tuple"),
    ],
)
def test_arguments_that_are_nothing_to_check(model: Any, loss: Any, batch: Any, words: str) -> None:
    with pytest.raises(cp.errors.ClearpropError, match=words):
        cp.check(model, loss, batch)


@pytest.mark.parametrize(("loss", "said"), [(nn.CrossEntropyLoss(), True), (nn.MultiMarginLoss(), False)])
def test_only_a_cross_entropy_is_compared_with_the_logarithm_of_the_classes(loss: Any, said: bool) -> None:
    batch = next(iter(data.DataLoader(data.digits("train"), 32)))
    result = check(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), batch, loss)
    assert ("ln 10" in str(result)) == said, str(result)
