"""The Neural Turing Machine, equation by equation, and as a whole."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn, optim
from clearprop.errors import DTypeError, ShapeError, UsageError
from clearprop.models import NTM
from clearprop.models.ntm import cosine, shifted

LOCATIONS, WIDTH, HIDDEN = 12, 4, 6


def machine(controller: str = "lstm", heads: int = 1, seed: int = 0) -> NTM:
    generator = cp.random.Generator(seed)
    return NTM(3, 2, LOCATIONS, WIDTH, HIDDEN, heads, controller=controller, generator=generator)


def numbers(*shape: int, seed: int = 0) -> Any:
    return cp.asarray(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def that_says(layer: nn.Linear, values: list[list[float]]) -> None:
    """Let a layer say the same to every head, whatever it is given."""
    layer.weight.assign(cp.zeros(layer.weight.shape))
    layer.bias.assign(np.array(values, np.float32).reshape(-1))


def test_similarity_is_the_cosine() -> None:
    keys = cp.tensor([[[3.0, 4.0], [1.0, 0.0]]])
    memory = cp.tensor([[[6.0, 8.0], [-4.0, 3.0], [-3.0, -4.0]]])
    np.testing.assert_allclose(cosine(keys, memory)[0].numpy(), [[1, 0, -1], [0.6, -0.8, -0.6]], atol=1e-6)


def test_similarity_to_nothing_has_a_finite_gradient() -> None:
    gradient = cp.grad(lambda memory: cosine(cp.ones((1, 1, 2)), memory).sum())(cp.zeros((1, 3, 2)))
    assert np.isfinite(gradient.numpy()).all()


def test_shifts_go_round_the_memory() -> None:
    weighting = cp.tensor([[[0.0, 0.0, 0.25, 0.75]]])
    for shares, wanted in (
        ([0, 0, 1], [0.75, 0, 0, 0.25]),
        ([0, 1, 0], [0, 0, 0.25, 0.75]),
        ([1, 0, 0], [0, 0.25, 0.75, 0]),
        ([0.5, 0, 0.5], [0.375, 0.125, 0.375, 0.125]),
        ([0, 0, 0, 0, 1], [0.25, 0.75, 0, 0]),
    ):
        found = shifted(weighting, cp.tensor([[[float(share) for share in shares]]]))
        np.testing.assert_allclose(found[0, 0].numpy(), wanted, atol=1e-6)


def test_what_is_written_is_erased_and_added() -> None:
    ntm = machine()
    erase, add = [50.0, -50.0, 0.0, 50.0], [0.0, 0.0, 50.0, np.arctanh(0.5)]  # sigmoid: 1, 0, ½, 1; tanh: 0, 0, 1, ½
    that_says(ntm.writing, [[*erase, *add]])
    memory = np.full((1, LOCATIONS, WIDTH), 4.0, np.float32)
    weighting = np.zeros((1, 1, LOCATIONS), np.float32)
    weighting[0, 0, 2], weighting[0, 0, 5] = 1.0, 0.5
    after = ntm.write(cp.zeros((1, HIDDEN)), cp.asarray(memory), cp.asarray(weighting))[0].numpy()
    np.testing.assert_allclose(after[2], [0, 4, 3, 0.5], atol=1e-5)  # 4 (1 - e) + a
    np.testing.assert_allclose(after[5], [2, 4, 3.5, 2.25], atol=1e-5)  # 4 (1 - e / 2) + a / 2
    np.testing.assert_array_equal(after[[0, 1, 3, 4]], memory[0, :4])


def test_two_heads_write_one_after_the_other_in_either_order() -> None:
    ntm = machine(heads=2)
    first, second = [1.0, -1.0, 0.3, 2.0, 0.1, 0.2, 0.3, 0.4], [0.2, 0.5, -2.0, 1.0, -0.4, 0.3, 0.2, 0.1]
    memory, weighting = numbers(1, LOCATIONS, WIDTH), cp.functional.softmax(numbers(1, 2, LOCATIONS, seed=1))
    that_says(ntm.writing, [first, second])
    one = ntm.write(cp.zeros((1, HIDDEN)), memory, weighting)
    that_says(ntm.writing, [second, first])
    other = ntm.write(cp.zeros((1, HIDDEN)), memory, cp.flip(weighting, axis=1))
    np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)


# Of a head: key (4), strength, gate, shares of the moves -1, 0, 1, sharpness.
STEP_ON = [0.0] * WIDTH + [0.0, -50.0, -50.0, -50.0, 50.0, 20.0]
FIND = [1.0, 0.0, 0.0, 0.0, 50.0, 50.0, -50.0, 50.0, -50.0, 0.0]


def test_a_closed_gate_leaves_the_heads_to_walk() -> None:
    """Whatever is in the memory, they move by one location in each step."""
    ntm = machine()
    that_says(ntm.addressing, [STEP_ON, STEP_ON])
    start = np.full((2, LOCATIONS), -30.0, np.float32)
    start[0, 4], start[1, 10] = 30.0, 30.0
    ntm.first_weighting.assign(start)
    _, looked = ntm(numbers(2, 5, 3), need_weights=True)
    assert looked.shape == (2, 5, 2, LOCATIONS)
    np.testing.assert_allclose(looked.sum(axis=3).numpy(), 1.0, rtol=1e-5)
    assert looked.argmax(axis=3)[1].tolist() == [[5, 11], [6, 0], [7, 1], [8, 2], [9, 3]]  # the head that reads first


def test_an_open_gate_finds_what_the_key_says() -> None:
    ntm = machine()
    that_says(ntm.addressing, [FIND, FIND])
    memory = np.zeros((1, LOCATIONS, WIDTH), np.float32)
    memory[0, :, 1] = 1.0
    memory[0, 7] = [2.0, 0.0, 0.0, 0.0]
    found = ntm.address(cp.zeros((1, HIDDEN)), cp.asarray(memory), cp.ones((1, 2, LOCATIONS)) / LOCATIONS)
    assert found.argmax(axis=2).tolist() == [[7, 7]]
    assert found[0, 0, 7].item() > 0.999


@pytest.mark.parametrize("controller", ["lstm", "feedforward"])
@pytest.mark.parametrize("heads", [1, 2])
def test_a_compiled_step_is_the_eager_one_and_nothing_falls_back(controller: str, heads: int) -> None:
    x, target = numbers(4, 6, 3), numbers(4, 6, 2, seed=1)
    found = []
    for compiled in (False, True):
        ntm = machine(controller, heads)
        optimizer = optim.SGD(ntm.parameters(), lr=0.1)

        def step(x: Any, target: Any, ntm: NTM = ntm, optimizer: optim.SGD = optimizer) -> Any:
            optimizer.zero_grad()
            loss = cp.functional.mse_loss(ntm(x), target)
            loss.backward()
            optimizer.step()
            return loss

        run = cp.compile(step) if compiled else step
        found.append([run(x, target).item() for _ in range(4)])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)
    assert "computed by NumPy" not in run.report()
    assert found[0][-1] < found[0][0]


def test_a_program_does_not_grow_with_time() -> None:
    def kernels(steps: int) -> int:
        ntm = machine()

        def step(x: Any) -> Any:
            ntm.zero_grad()
            loss = (ntm(x) ** 2).sum()
            loss.backward()
            return loss

        run = cp.compile(step)
        run(numbers(2, steps, 3))
        (count,) = re.findall(r"(\d+) kernels", run.report())
        return int(count)

    assert kernels(30) == kernels(5)


def test_what_comes_later_changes_nothing() -> None:
    ntm, x = machine(), numbers(2, 6, 3)
    later = x.at[:, 4:].set(9.0)
    np.testing.assert_array_equal(ntm(x)[:, :4].numpy(), ntm(later)[:, :4].numpy())
    assert not np.allclose(ntm(x)[:, 4:].numpy(), ntm(later)[:, 4:].numpy())


def test_every_parameter_gets_a_gradient() -> None:
    for controller in ("lstm", "feedforward"):
        ntm = machine(controller, heads=2)
        (ntm(numbers(2, 6, 3)) ** 2).sum().backward()
        without = [name for name, p in ntm.named_parameters() if p.grad is None or not p.grad.numpy().any()]
        assert without == []


def test_heads_begin_at_one_location() -> None:
    first = cp.functional.softmax(NTM(9, 8, heads=2).first_weighting.value).numpy()
    assert first.shape == (4, 128)
    assert (first[:, 0] > 0.99).all()


def test_parameters_are_counted() -> None:
    """The paper's machine for copying: 8 bits and a mark come in, the memory is 128 × 20, an LSTM of 100 units."""
    ntm = NTM(9, 8)
    lstm = 400 * (9 + 20 + 100 + 2)
    heads = 101 * (2 * (20 + 1 + 1 + 3 + 1)) + 101 * (2 * 20)
    assert sum(p.size for p in ntm.parameters()) == lstm + heads + 8 * (100 + 20 + 1) + 2 * 128 + 20 + 200


@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 5, 3), (2, 5, 4), (5, 3)])
def test_other_shapes_are_errors(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"it must be \(B, T, 3\), with at least one example and one step"):
        machine()(cp.zeros(shape))


def test_wrong_use() -> None:
    with pytest.raises(DTypeError, match="x is float64"):
        machine()(np.zeros((1, 2, 3)))
    with pytest.raises(UsageError, match="controller='gru'"):
        NTM(3, 2, controller="gru")
    with pytest.raises(UsageError, match="locations=0"):
        NTM(3, 2, locations=0)
    with pytest.raises(UsageError, match="a head that moves by up to 2 needs more than 4 locations"):
        NTM(3, 2, locations=4, shift=2)
