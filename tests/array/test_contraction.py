"""einsum, tensordot, vecdot: against NumPy, with gradients, errors and the cost of the order that is chosen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clearprop as cp
from clearprop.primitive import Spec
from clearprop.trace import Tracer, trace

RANDOM = np.random.default_rng(0)


def array(*shape: int) -> np.ndarray[Any, Any]:
    return np.asarray(RANDOM.standard_normal(shape))


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-11, atol=1e-13, strict=True)


# Values and gradients of einsum ---------------------------------------------------------------------------------------

EQUATIONS: list[tuple[str, tuple[tuple[int, ...], ...]]] = [
    # one operand
    ("ij->ij", ((2, 3),)),
    ("ij->ji", ((2, 3),)),
    ("ba", ((2, 3),)),
    ("ij->", ((2, 3),)),
    ("ij->j", ((2, 3),)),
    ("->", ((),)),
    ("i->", ((0,),)),
    ("ii", ((3, 3),)),
    ("ii->i", ((3, 3),)),
    ("iji->j", ((3, 2, 3),)),
    ("iiijj->ji", ((2, 2, 2, 3, 3),)),
    ("ijij", ((2, 3, 2, 3),)),
    ("...", ((2, 3),)),
    ("...ij->...ji", ((4, 2, 3),)),
    ("i...->...", ((2, 3),)),
    ("...ii->...i", ((2, 3, 3),)),
    ("ij...", ((3, 2, 4),)),
    # two
    ("ij,jk->ik", ((2, 3), (3, 4))),
    ("ij,jk", ((2, 3), (3, 4))),
    ("ij,jk->ki", ((2, 3), (3, 4))),
    ("ji,kj->ik", ((3, 2), (4, 3))),
    ("i,i", ((3,), (3,))),
    ("i,i->i", ((3,), (3,))),
    ("i,j->ij", ((3,), (2,))),
    ("i,j->", ((3,), (2,))),
    ("i,j", ((3,), (2,))),
    ("ij,j->i", ((2, 3), (3,))),
    ("j,ij->i", ((3,), (2, 3))),
    ("bij,bjk->bik", ((2, 3, 4), (2, 4, 2))),
    ("bi,bi->b", ((2, 3), (2, 3))),
    ("bi,b->bi", ((2, 3), (2,))),
    ("bhid,bhjd->bhij", ((2, 2, 3, 4), (2, 2, 5, 4))),
    ("ijkl,jlm->mik", ((2, 3, 2, 4), (3, 4, 5))),
    ("ijk,kji->", ((2, 3, 4), (4, 3, 2))),
    ("ii,ij->j", ((3, 3), (3, 2))),
    (",ij->ij", ((), (2, 3))),
    ("...ij,...jk->...ik", ((2, 3, 4), (4, 5))),
    ("...ij,...jk->...ik", ((2, 1, 3, 4), (5, 4, 2))),
    ("...i,i->...", ((2, 4, 3), (3,))),
    ("i...,...i", ((3, 2), (2, 3))),
    ("ij,jk->ik", ((2, 0), (0, 3))),
    ("ij,jk->ik", ((0, 2), (2, 3))),
    # more
    ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 2))),
    ("i,ij,j->", ((2,), (2, 3), (3,))),
    ("i,j,k->kji", ((2,), (3,), (4,))),
    ("ij,ij,ij->", ((2, 3), (2, 3), (2, 3))),
    ("bi,ijk,bj,bk->b", ((2, 3), (3, 4, 2), (2, 4), (2, 2))),
    ("ab,bc,cd,de,ef->af", ((2, 3), (3, 2), (2, 4), (4, 2), (2, 3))),
    # axes of length 1 broadcast
    ("ij,jk->ik", ((2, 1), (3, 4))),
    ("ij,ij->ij", ((1, 3), (2, 1))),
    ("ij,ij->j", ((1, 3), (2, 1))),
    ("i,i,i", ((1,), (3,), (1,))),
    ("ii,i->i", ((1, 1), (3,))),
]


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
def test_einsum(equation: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    operands = [array(*shape) for shape in shapes]
    expected = np.asarray(np.einsum(equation, *operands))
    close(cp.einsum(equation, *operands), expected)
    cp.check_gradients(lambda *xs: cp.sin(cp.einsum(equation, *xs)), *operands, order=2)
    batch = [np.stack([x, 2.0 * x]) for x in operands]
    close(cp.vmap(lambda *xs: cp.einsum(equation, *xs))(*batch), np.stack([expected, 2.0 ** len(shapes) * expected]))
    specs = [Spec(shape, np.dtype(np.float64)) for shape in shapes]
    close(trace(lambda *xs: [cp.einsum(equation, *xs)], specs, Tracer()).run(operands)[0], expected)


def test_blanks_capitals_and_numbers() -> None:
    x, y = array(2, 3), array(3, 4)
    close(cp.einsum(" a B , B C -> a C ", x, y), x @ y)
    close(cp.einsum("Ba", x), np.einsum("Ba", x))  # capitals come first
    close(cp.einsum(",i", 2.0, y[0]), 2.0 * y[0])
    close(cp.einsum("ij,ij->i", cp.Parameter(x), x), (x * x).sum(1))


def test_third_order_gradients() -> None:
    cp.check_gradients(lambda x: cp.einsum("ij,jk,ki->", x, x, x), array(3, 3), order=3, rtol=1e-4, atol=1e-5)


def test_dtypes() -> None:
    assert cp.einsum("i,i", np.ones(2, np.int8), np.ones(2, np.int16)).dtype == cp.int16
    assert cp.einsum("i,i->i", np.ones(2, np.float32), np.ones(2)).dtype == cp.float64
    close(cp.einsum("ij,j", [[1, 2], [3, 4]], [5, 6]), np.array([17, 39]))
    with pytest.raises(cp.DTypeError, match="einsum: operand 0 is bool"):
        cp.einsum("i->", [True])


@st.composite
def equations(draw: st.DrawFn) -> tuple[str, list[np.ndarray[Any, Any]]]:
    """Any letters for any axes, with lengths of 1 to 3."""
    letters = "abcde"
    terms = draw(st.lists(st.text(letters, max_size=4), min_size=1, max_size=4))
    used = sorted({*"".join(terms)})
    output = "".join(draw(st.lists(st.sampled_from(used), unique=True))) if used else ""
    lengths = {letter: draw(st.integers(1, 3)) for letter in used}
    random = np.random.default_rng(draw(st.integers(0, 9)))
    operands = [random.standard_normal([lengths[letter] for letter in term]) for term in terms]
    arrow = draw(st.sampled_from(["->" + output, ""]))
    return ",".join(terms) + arrow, operands


@given(equations())
def test_any_equation(drawn: tuple[str, list[np.ndarray[Any, Any]]]) -> None:
    equation, operands = drawn
    close(cp.einsum(equation, *operands), np.einsum(equation, *operands))


# What cannot be read, or does not fit ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ij,jk->ik", ((2, 3),), "has 2 operands, 1 were given"),
        ("ij->ij", (), "has 1 operands, 0 were given"),
        ("ij", ((2, 3, 4),), r"'ij' names 2 axes, operand 0 has shape \(2, 3, 4\)"),
        ("i,ijk...", ((2,), (2, 3)), r"'ijk\.\.\.' names 3 axes, operand 1 has shape \(2, 3\)"),
        ("ij,jk->ik", ((2, 3), (4, 5)), "axis 'j' has length 3, and 4 in operand 1"),
        ("...i,...i", ((2, 3), (4, 3)), r"an axis behind \"...\" has length 2, and 4 in operand 1"),
        ("ii", ((2, 3),), "axis 'i' has length 2, and 3 in operand 0"),
        ("ii", ((1, 3),), "axis 'i' has length 1, and 3 in operand 0"),
        ("ij->k", ((2, 3),), "'k' of the result is in no operand"),
        ("ij->ii", ((2, 3),), "'i' occurs twice in the result"),
        ("i1->i", ((2, 3),), "cannot be read at 'i1'"),
        ("i....->i", ((2, 3),), r"cannot be read at 'i\.\.\.\.'"),
        ("i->j->k", ((2,),), "cannot be read at 'j->k'"),
        ("i->j,k", ((2,),), "cannot be read at 'j,k'"),
        ("...i->i", ((2, 3),), r"drops the axes behind \"...\""),
    ],
)
def test_equations_that_make_no_sense(equation: str, shapes: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(cp.ShapeError, match=message) as caught:
        cp.einsum(equation, *[np.ones(shape) for shape in shapes])
    assert repr(equation) in caught.value.message


def test_operands_in_the_place_of_the_equation() -> None:
    with pytest.raises(cp.DTypeError, match="the equation is ndarray"):
        cp.einsum(np.ones(2), "i")  # type: ignore[arg-type]


# The order of multiplications -----------------------------------------------------------------------------------------


def flops(equation: str, *shapes: tuple[int, ...]) -> int:
    specs = [Spec(shape, np.dtype(np.float64)) for shape in shapes]
    return trace(lambda *xs: [cp.einsum(equation, *xs)], specs, Tracer()).flops()


def test_a_chain_is_multiplied_from_the_cheap_end() -> None:
    """A matrix, a matrix and a vector: from the vector on, whichever end it stands at."""
    matrix, vector = (50, 50), (50,)
    assert flops("ij,jk,k->i", matrix, matrix, vector) == 2 * 2 * 50 * 50
    assert flops("i,ij,jk->k", vector, matrix, matrix) == 2 * 2 * 50 * 50
    assert flops("ij,k,jk->i", matrix, vector, matrix) == 2 * 2 * 50 * 50


def test_narrow_matrices_are_multiplied_first() -> None:
    assert flops("ij,jk,kl->il", (100, 2), (2, 100), (100, 2)) == 2 * (2 * 100 * 2) + 2 * (100 * 2 * 2)


def test_what_occurs_once_is_summed_before_anything_is_multiplied() -> None:
    assert flops("ij,kl->", (30, 30), (30, 30)) == 2 * 30 * 30 + 1


def test_a_matrix_product_is_one() -> None:
    x, y = cp.tensor(array(2, 3), requires_grad=True), cp.tensor(array(3, 4))
    z = cp.einsum("ij,jk->ik", x, y)
    assert [node.name for node in cp.Graph(z).nodes] == ["leaf", "matmul"]


# tensordot and vecdot -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "y", "axes"),
    [
        ((2, 3), (4,), 0),
        ((2, 3), (3, 4), 1),
        ((2, 3, 4), (3, 4, 2), 2),
        ((3, 4), (3, 4), 2),
        ((2, 3, 4), (5, 4, 2), ((0, 2), (2, 1))),
        ((2, 3, 4), (4, 3), ((-1, 1), (0, -1))),
        ((2, 3), (2, 3), ((), ())),
        ((), (2,), 0),
        ((2, 0), (0, 3), 1),
    ],
    ids=str,
)
def test_tensordot(x: tuple[int, ...], y: tuple[int, ...], axes: Any) -> None:
    a, b = array(*x), array(*y)
    close(cp.tensordot(a, b, axes=axes), np.tensordot(a, b, axes))
    cp.check_gradients(lambda a, b: cp.sin(cp.tensordot(a, b, axes=axes)), a, b, order=2)
    close(cp.vmap(lambda a: cp.tensordot(a, b, axes=axes))(np.stack([a, -a])),
          np.stack([np.tensordot(a, b, axes), -np.tensordot(a, b, axes)]))  # fmt: skip


def test_axes_that_do_not_pair() -> None:
    a, b = array(2, 3), array(2, 3)
    with pytest.raises(cp.ShapeError, match=r"axis 1 of x1 \(3\) and axis 0 of x2 \(2\) must have one length"):
        cp.tensordot(a, b, axes=1)
    with pytest.raises(cp.ShapeError, match="axes=3"):
        cp.tensordot(a, b, axes=3)
    with pytest.raises(cp.ShapeError, match="2 axes of x1 and 1 of x2"):
        cp.tensordot(a, b, axes=((0, 1), (0,)))
    with pytest.raises(cp.ShapeError, match="names an axis twice"):
        cp.tensordot(a, b, axes=((0, 0), (0, 1)))
    with pytest.raises(cp.DTypeError, match="tensordot: x1 is bool"):
        cp.tensordot(a > 0, b > 0)


@pytest.mark.parametrize(
    ("x", "y", "axis"),
    [((3,), (3,), -1), ((2, 3), (3,), -1), ((4, 1, 3), (2, 3), -1), ((3, 2), (4, 3, 1), -2), ((2, 3), (2, 3), 0)],
    ids=str,
)
def test_vecdot(x: tuple[int, ...], y: tuple[int, ...], axis: int) -> None:
    a, b = array(*x), array(*y)
    close(cp.vecdot(a, b, axis=axis), np.sum(a * b, axis))
    cp.check_gradients(lambda a, b: cp.sin(cp.vecdot(a, b, axis=axis)), a, b, order=2)


def test_vectors_of_different_lengths() -> None:
    for y in ((2, 1), (2, 2), (3, 3, 1)):  # the axis of the vectors does not broadcast
        with pytest.raises(cp.ShapeError, match="vecdot: x1 has shape"):
            cp.vecdot(array(2, 3), array(*y))
    with pytest.raises(cp.ShapeError, match="counted from the last"):
        cp.vecdot(array(3, 2), array(2, 3, 2), axis=0)
    assert cp.vecdot(np.full(3, 100, np.int8), np.ones(3, np.int8)).dtype == cp.int8


@given(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.data())
def test_tensordot_of_any_axes(shared: int, first: int, second: int, data: st.DataObject) -> None:
    """Axes in any places: what is contracted, and what is left over, in any order."""
    lengths = [2, 3, 1]
    a_axes = data.draw(st.permutations(range(shared + first)))
    b_axes = data.draw(st.permutations(range(shared + second)))
    a_shape, b_shape = [2] * (shared + first), [3] * (shared + second)
    for i in range(shared):
        a_shape[a_axes[i]] = b_shape[b_axes[i]] = lengths[i % 3]
    a, b = (np.random.default_rng(1).standard_normal(shape) for shape in (a_shape, b_shape))
    axes = (tuple(a_axes[:shared]), tuple(b_axes[:shared]))
    assert math.prod(a.shape) <= 3**6
    close(cp.tensordot(a, b, axes=axes), np.tensordot(a, b, axes))
