"""No primitive without its row, and no row without its tests."""

from __future__ import annotations

import pytest
from tests.primitives.table import TABLE

from clearprop.primitive import PRIMITIVES, Primitive, missing_lowerings, register
from clearprop.primitives.families import Elementwise

APART = {"custom", "item", "scan"}
"""Those with several outputs, whose rules follow from what the user wrote: `tests/autodiff/test_custom.py`,
`tests/autodiff/test_traced_scan.py`."""

NAMES = sorted(PRIMITIVES)


def test_every_primitive_is_declared() -> None:
    assert sorted(PRIMITIVES.keys() - APART) == sorted(TABLE)


@pytest.mark.parametrize("name", NAMES)
def test_row_is_complete(name: str) -> None:
    primitive = PRIMITIVES[name]
    own = type(primitive)
    assert primitive.name == name
    assert primitive.formula.forward
    assert "=" in primitive.formula.forward
    assert own.__doc__, "a row opens with what z is"
    assert own.shape is not Primitive.shape
    assert own.batch is not Primitive.batch
    assert callable(primitive.compute)


@pytest.mark.parametrize("name", sorted(PRIMITIVES.keys() - APART))
def test_each_differentiable_input_has_its_rules(name: str) -> None:
    primitive, keeps = PRIMITIVES[name], TABLE[name].keeps
    assert primitive.differentiable == bool(keeps)
    assert len(primitive.formula.backward) == len(keeps)
    if type(primitive).vjp is not Primitive.vjp:
        assert type(primitive).jvp is not Primitive.jvp, "rules for all inputs at once come in pairs"
        return
    assert {one for one in primitive.inputs if hasattr(primitive, f"vjp_{one}")} == set(keeps)
    if primitive.linear or isinstance(primitive, Elementwise) or type(primitive).jvp is not Primitive.jvp:
        return  # its JVP is the operation itself, or the rule of its VJP, or written for all inputs at once
    assert {one for one in primitive.inputs if hasattr(primitive, f"jvp_{one}")} == set(keeps)


@pytest.mark.parametrize("name", sorted(PRIMITIVES.keys() - APART))
def test_formulas_name_gradients(name: str) -> None:
    for formula in PRIMITIVES[name].formula.backward:
        assert formula.count(r"\bar") >= 2, "a contribution, and the upstream gradient it comes from"


def test_two_primitives_of_one_name_are_an_error() -> None:
    with pytest.raises(ValueError, match="there is a primitive add already"):
        register(type(PRIMITIVES["add"])())


def test_registry_knows_which_lowerings_are_missing() -> None:
    assert set(missing_lowerings("native")) <= set(PRIMITIVES)
