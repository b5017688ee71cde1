"""Every primitive, systematically: its value, its shape rule, its gradients to second order, its batch rule, its cost.

What is expected of each stands in `tests/primitives/table/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from tests.primitives.table import TABLE, Array, Case, Declaration, Wrong

import clearprop as cp
from clearprop.errors import DTypeError
from clearprop.primitive import PRIMITIVES, Primitive, Spec, spec_of
from clearprop.tensor import Tensor

EXAMPLES = 3
"""Examples in a batch, when a batch rule is compared with a loop."""


def primitive_of(declaration: Declaration) -> Primitive:
    return PRIMITIVES[declaration.name]


def sample(case: Case, seed: int = 0) -> list[Array]:
    return [np.asarray(x) for x in case.sample(np.random.default_rng(seed))]


def close(found: Any, expected: Any, rtol: float = 1e-12, atol: float = 1e-14) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=rtol, atol=atol, strict=True)


def floating(inputs: Sequence[Array]) -> list[int]:
    return [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]


CASES = [
    pytest.param(declaration, case, id=f"{declaration.name} {case.label}")
    for declaration in TABLE.values()
    for case in declaration.cases
]


def has_gradient(declaration: Declaration, case: Case) -> bool:
    return declaration.differentiable and bool(floating(sample(case)))


DIFFERENTIABLE = [param for param in CASES if has_gradient(*param.values)]
BATCHED = [param for param in CASES if param.values[0].batches]
BATCHED_GRADIENTS = [param for param in DIFFERENTIABLE if param.values[0].batches]
DECLARATIONS = [pytest.param(declaration, id=name) for name, declaration in TABLE.items()]
WRONG = [
    pytest.param(declaration, wrong, id=f"{declaration.name} {[f'{d}{list(s)}' for s, d in wrong.inputs]}")
    for declaration in TABLE.values()
    for wrong in declaration.wrong
]


class OfFloats:
    """A primitive as a function of its floating-point inputs alone, the others held fixed."""

    def __init__(self, declaration: Declaration, case: Case, inputs: Sequence[Array]) -> None:
        self.primitive, self.attributes, self.inputs = primitive_of(declaration), case.attributes, list(inputs)
        self.places = floating(inputs)
        self.points = [Tensor(inputs[i]) for i in self.places]

    def __call__(self, *points: Any) -> Any:
        full: list[Any] = list(self.inputs)
        for place, point in zip(self.places, points, strict=True):
            full[place] = point
        return self.primitive(*full, **self.attributes)


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("declaration", "case"), CASES)
def test_value(declaration: Declaration, case: Case) -> None:
    inputs = sample(case)
    found = primitive_of(declaration)(*map(Tensor, inputs), **case.attributes)
    close(found, declaration.reference(*inputs, **case.attributes))


@pytest.mark.parametrize(("declaration", "case"), CASES)
def test_plain_arrays_give_plain_arrays(declaration: Declaration, case: Case) -> None:
    inputs = sample(case)
    found = primitive_of(declaration)(*inputs, **case.attributes)
    assert isinstance(found, (np.ndarray, np.generic))
    close(found, primitive_of(declaration)(*map(Tensor, inputs), **case.attributes), rtol=0, atol=0)


@pytest.mark.parametrize(("declaration", "case"), CASES)
def test_shape_rule_says_what_compute_gives(declaration: Declaration, case: Case) -> None:
    inputs, primitive = sample(case), primitive_of(declaration)
    for arrays in (inputs, [x.astype(np.float32) if x.dtype == np.float64 else x for x in inputs]):
        output = primitive(*arrays, **case.attributes)
        assert primitive.shape(*map(spec_of, arrays), **case.attributes) == spec_of(output)


@pytest.mark.parametrize(("declaration", "case"), CASES)
def test_inputs_are_not_written_to(declaration: Declaration, case: Case) -> None:
    inputs = sample(case)
    for x in inputs:
        x.flags.writeable = False
    primitive_of(declaration)(*inputs, **case.attributes)


@pytest.mark.parametrize(("declaration", "case"), CASES)
def test_single_precision(declaration: Declaration, case: Case) -> None:
    inputs = [x.astype(np.float32) if x.dtype == np.float64 else x for x in sample(case)]
    found = primitive_of(declaration)(*inputs, **case.attributes)
    expected = np.asarray(declaration.reference(*inputs, **case.attributes))
    np.testing.assert_allclose(found, expected.astype(found.dtype), rtol=2e-6, atol=1e-6)


# Gradients ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("declaration", "case"), DIFFERENTIABLE)
def test_gradients_of_first_and_second_order(declaration: Declaration, case: Case) -> None:
    f = OfFloats(declaration, case, sample(case))
    cp.check_gradients(f, *f.points, order=2)


@pytest.mark.parametrize(("declaration", "case"), DIFFERENTIABLE)
def test_forward_mode_is_the_transpose_of_reverse_mode(declaration: Declaration, case: Case) -> None:
    """<u, J v> = <J^T u, v>, for each input alone and for all together."""
    f = OfFloats(declaration, case, sample(case))
    random = np.random.default_rng(1)
    y, pullback = cp.vjp(f, *f.points)
    if not y.dtype.is_floating:
        return
    u = Tensor(np.asarray(random.standard_normal(y.shape)))
    pulled = pullback(u)
    directions = [np.asarray(random.standard_normal(x.shape)) for x in f.points]
    one_by_one = [[v if i == j else np.zeros_like(v) for j, v in enumerate(directions)] for i in range(len(directions))]
    for vs in [directions, *one_by_one]:
        _, pushed = cp.jvp(f, f.points, [Tensor(v) for v in vs])
        assert pushed.shape == y.shape
        assert pushed.dtype == y.dtype
        expected = sum(np.sum(g.numpy() * v) for g, v in zip(pulled, vs, strict=True))
        close(np.sum(pushed.numpy() * u.numpy()), np.asarray(expected)[()], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("declaration", "case"), DIFFERENTIABLE)
def test_gradients_have_the_shape_and_dtype_of_their_inputs(declaration: Declaration, case: Case) -> None:
    for dtype in (np.float32, np.float64):
        inputs = [x.astype(dtype) if x.dtype.kind == "f" else x for x in sample(case)]
        leaves = [cp.tensor(x, requires_grad=True) if x.dtype.kind == "f" else x for x in inputs]
        z = primitive_of(declaration)(*leaves, **case.attributes)
        if not z.requires_grad:
            assert not z.dtype.is_floating
            continue
        z.backward(np.ones(z.shape))
        for x in leaves:
            if isinstance(x, Tensor):
                assert x.grad is not None
                assert (x.grad.shape, x.grad.dtype) == (x.shape, x.dtype)


@pytest.mark.parametrize("declaration", [param for param in DECLARATIONS if not param.values[0].differentiable])
def test_no_gradient_flows_through_what_is_not_differentiable(declaration: Declaration) -> None:
    for case in declaration.cases:
        leaves = [cp.tensor(x, requires_grad=True) if x.dtype.kind == "f" else x for x in sample(case)]
        assert not primitive_of(declaration)(*map(cp.asarray, leaves), **case.attributes).requires_grad


# Batches --------------------------------------------------------------------------------------------------------------


def batch_of(case: Case, mapped: Sequence[bool]) -> tuple[list[Array], list[list[Array]]]:
    """Inputs for vmap, mapped ones stacked; and the inputs of each example."""
    examples = [sample(case, seed) for seed in range(EXAMPLES)]
    stacked = [
        np.stack([example[i] for example in examples]) if is_mapped else examples[0][i]
        for i, is_mapped in enumerate(mapped)
    ]
    each = [[x[k] if is_mapped else x for x, is_mapped in zip(stacked, mapped, strict=True)] for k in range(EXAMPLES)]
    return stacked, [[np.asarray(x) for x in inputs] for inputs in each]


def combinations(case: Case) -> list[tuple[bool, ...]]:
    """Which inputs are mapped: every way in which at least one is."""
    return [mapped for mapped in product((True, False), repeat=len(sample(case))) if any(mapped)]


def axes(mapped: Sequence[bool]) -> tuple[int | None, ...]:
    return tuple(0 if is_mapped else None for is_mapped in mapped)


@pytest.mark.parametrize(("declaration", "case"), BATCHED)
def test_batch_rule_against_a_loop(declaration: Declaration, case: Case) -> None:
    primitive = primitive_of(declaration)
    for mapped in combinations(case):
        stacked, examples = batch_of(case, mapped)
        found = cp.vmap(lambda *xs: primitive(*xs, **case.attributes), in_axes=axes(mapped))(*stacked)
        expected = np.stack([np.asarray(primitive(*inputs, **case.attributes)) for inputs in examples])
        close(found, expected, rtol=1e-13)


@pytest.mark.parametrize(("declaration", "case"), BATCHED_GRADIENTS)
def test_gradients_of_each_example_against_a_loop(declaration: Declaration, case: Case) -> None:
    primitive = primitive_of(declaration)
    places = floating(sample(case))

    def scalar(*xs: Any) -> Any:
        y = primitive(*xs, **case.attributes)
        return (cp.sin(y) * y).sum() if y.dtype.is_floating else cp.tensor(0.0)

    for mapped in combinations(case):
        stacked, examples = batch_of(case, mapped)
        found = cp.vmap(cp.grad(scalar, argnums=places), in_axes=axes(mapped))(*stacked)
        each = [cp.grad(scalar, argnums=places)(*map(Tensor, inputs)) for inputs in examples]
        for i in range(len(places)):
            close(found[i], np.stack([gradients[i].numpy() for gradients in each]), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("declaration", "case"), BATCHED_GRADIENTS)
def test_gradient_of_a_batch_against_a_loop(declaration: Declaration, case: Case) -> None:
    """Grad of vmap: unmapped inputs collect the gradients of all examples."""
    primitive = primitive_of(declaration)
    places = floating(sample(case))

    def output(*xs: Any) -> Any:
        return primitive(*xs, **case.attributes)

    for mapped in combinations(case):
        stacked, examples = batch_of(case, mapped)
        if output(*examples[0]).dtype.kind != "f":
            return

        def of_batch(*xs: Any, mapped: Sequence[bool] = mapped) -> Any:
            return cp.sin(cp.vmap(output, in_axes=axes(mapped))(*xs)).sum()

        found = cp.grad(of_batch, argnums=places)(*map(Tensor, stacked))
        each = [cp.grad(lambda *xs: cp.sin(output(*xs)).sum(), argnums=places)(*map(Tensor, x)) for x in examples]
        for i, place in enumerate(places):
            alone = np.stack([gradients[i].numpy() for gradients in each])
            close(found[i], alone if mapped[place] else alone.sum(0), rtol=1e-11, atol=1e-13)


# What does not fit ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("declaration", "wrong"), WRONG)
def test_inputs_that_do_not_fit(declaration: Declaration, wrong: Wrong) -> None:
    specs = [Spec(shape, np.dtype(dtype)) for shape, dtype in wrong.inputs]
    with pytest.raises(wrong.error) as caught:
        primitive_of(declaration).shape(*specs, **wrong.attributes)
    assert caught.value.message.startswith(declaration.name)


@pytest.mark.parametrize("declaration", DECLARATIONS)
def test_kinds_of_dtypes(declaration: Declaration) -> None:
    primitive, case = primitive_of(declaration), declaration.cases[0]
    if declaration.takes == "biuf":
        return
    for kind, dtype in {"b": np.bool_, "i": np.int64, "u": np.uint8, "f": np.float32}.items():
        specs = [Spec(x.shape, np.dtype(dtype)) for x in sample(case)]
        if kind in declaration.takes:
            primitive.shape(*specs, **case.attributes)
            continue
        with pytest.raises(DTypeError) as caught:
            primitive.shape(*specs, **case.attributes)
        assert caught.value.message.startswith(declaration.name)
        assert "astype" in caught.value.hint


# Memory and cost ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declaration", [param for param in DECLARATIONS if param.values[0].differentiable])
def test_a_node_keeps_only_what_its_gradients_need(declaration: Declaration) -> None:
    primitive = primitive_of(declaration)
    inputs = sample(declaration.cases[0])
    for name, kept in declaration.keeps.items():
        assert set(primitive.residuals(name)) == set(kept)
        at = primitive.inputs.index(name)
        arguments = [cp.tensor(x, requires_grad=True) if i == at else Tensor(x) for i, x in enumerate(inputs)]
        node = primitive(*arguments, **declaration.cases[0].attributes).node
        assert set(node.residuals) == set(kept)
    together = {one for kept in declaration.keeps.values() for one in kept}
    assert set(primitive.residuals()) == together


@pytest.mark.parametrize(("declaration", "case"), CASES)
def test_cost(declaration: Declaration, case: Case) -> None:
    inputs, primitive = sample(case), primitive_of(declaration)
    output = np.asarray(primitive(*inputs, **case.attributes))
    cost = primitive.cost(*map(spec_of, inputs), **case.attributes)
    assert cost.bytes_moved == sum(x.nbytes for x in inputs) + output.nbytes
    asked = case.attributes if declaration.flops_ask_attributes else {}
    assert cost.flops == declaration.flops(output, *inputs, **asked)
