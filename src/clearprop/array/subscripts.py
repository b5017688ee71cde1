"""``einsum``: products of any number of tensors, written as one line of subscripts.

    "ij,jk->ik"     a matrix product             "bij,bjk->bik"   one for each example
    "ii->i"         the diagonal                 "ij->"           the sum of all
    "i,j->ij"       the outer product            "...ij->...ji"   the transpose of each matrix

Letters name axes. Axes of one name belong together: they run side by side. Names to the right of the arrow are kept,
over the others the products are summed.

An equation is first made a plan (once for each equation and shapes), and the plan is then carried out two tensors at a
time by `clearprop.array.contraction`. What the graph shows, and differentiates, are permutations and matrix products.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import NamedTuple

from clearprop import primitives
from clearprop.array.contraction import Named, Names, contract
from clearprop.array.diagonals import diagonal
from clearprop.array.promotion import ArrayLike, cast_to, promoted
from clearprop.errors import DTypeError, ShapeError
from clearprop.primitive import numpy_dtype, spec_of
from clearprop.primitives.families import NUMBERS, check_kind
from clearprop.tensor import Tensor, as_tensor

Shape = tuple[int, ...]


def einsum(equation: str, *operands: ArrayLike) -> Tensor:
    """Products of tensors, summed over some axes, as an equation says.

    Args:
        equation: the names of the axes of each operand, letters, with commas between operands; then ``->`` and the
            names of the result. Without it these are, in alphabetical order, the names that occur once. A name that
            occurs twice in one operand is its diagonal; ``...`` stands for any further axes, which broadcast. Blanks
            are ignored.

    Raises:
        ShapeError: for an equation that cannot be read, that does not fit the operands, or whose lengths differ.

    >>> import clearprop as cp
    >>> a, b = cp.ones((2, 3)), cp.ones((3, 4))
    >>> cp.einsum("ij,jk->ik", a, b).shape, cp.einsum("ij->j", a)
    ((2, 4), Tensor([2., 2., 2.], dtype=float32))
    """
    if not isinstance(equation, str):
        raise DTypeError(f"einsum: the equation is {type(equation).__name__}", hint='cp.einsum("ij,jk->ik", a, b)')
    tensors = [as_tensor(operand) for operand in operands]
    plan = make_plan(equation, tuple(tensor.shape for tensor in tensors))
    named = [
        _prepared(tensor, names, plan.lengths)
        for tensor, names in zip(_of_one_dtype(tensors), plan.inputs, strict=True)
    ]
    for i, j in plan.pairs:
        b, a = named.pop(j), named.pop(i)
        named.append(contract(a, b, {*plan.output}.union(*(other.names for other in named))))
    (result,) = named
    return result.summed([name for name in result.names if name not in plan.output]).ordered(plan.output).tensor


def _of_one_dtype(tensors: Sequence[Tensor]) -> list[Tensor]:
    common = numpy_dtype(tensors[0])
    for tensor in tensors[1:]:
        common = promoted(common, numpy_dtype(tensor))
    if common.kind == "b":
        check_kind("einsum", NUMBERS, **{"operand 0": spec_of(tensors[0])})
    return [cast_to(tensor, common) for tensor in tensors]


def _prepared(x: Tensor, names: Names, lengths: dict[str, int]) -> Named:
    """An operand with each name once: diagonals taken; axes of length 1 that are longer elsewhere left out."""
    stretched = [i for i, name in enumerate(names) if x.shape[i] != lengths[name]]
    if stretched:
        x = primitives.reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if i not in stretched))
        names = tuple(name for i, name in enumerate(names) if i not in stretched)
    while len({*names}) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        first = names.index(name)
        second = names.index(name, first + 1)
        others = [i for i in range(len(names)) if i not in (first, second)]
        x = diagonal(primitives.permute(x, axes=(*others, first, second)))
        names = (*(names[i] for i in others), name)
    return Named(x, names)


# The plan -------------------------------------------------------------------------------------------------------------


class Plan(NamedTuple):
    """What an equation comes to for operands of certain shapes.

    Attributes:
        inputs: the names of the axes of each operand; those behind ``...`` are numbers.
        output: the names of the result.
        lengths: of each name.
        pairs: which two to multiply next, as places in the list of what is left; the product goes to its end.
    """

    inputs: tuple[Names, ...]
    output: Names
    lengths: dict[str, int]
    pairs: tuple[tuple[int, int], ...]


@lru_cache(maxsize=1024)
def make_plan(equation: str, shapes: tuple[Shape, ...]) -> Plan:
    """Read an equation, and decide on the order of multiplications."""
    terms, wanted = _terms(equation)
    if len(terms) != len(shapes):
        raise ShapeError(
            f"einsum: {equation!r} has {len(terms)} operands, {len(shapes)} were given",
            hint="one operand for each part between commas",
        )
    inputs = tuple(_names(equation, term, shape, i) for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)))
    lengths = _lengths(equation, inputs, shapes)
    hidden = tuple(sorted((name for name in lengths if name.isdigit()), key=int, reverse=True))
    output = _output(equation, terms, wanted, hidden)
    return Plan(inputs, output, lengths, _order(inputs, output, lengths))


def _terms(equation: str) -> tuple[list[str], str | None]:
    """What stands for each operand, and what is right of the arrow, None without one."""
    compact = "".join(equation.split())
    left, arrow, right = compact.partition("->")
    terms = left.split(",")
    for term in [*terms, right]:
        letters = term.replace("...", "", 1)
        if letters and not (letters.isascii() and letters.isalpha()):
            raise ShapeError(
                f"einsum: {equation!r} cannot be read at {term!r}",
                hint='letters name axes, commas separate operands, "->" the result: "ij,jk->ik", "...i->..."',
            )
    return terms, right if arrow else None


def _names(equation: str, term: str, shape: Shape, i: int) -> Names:
    """A name for each axis of an operand; the axes behind ``...`` are numbered from the last to the first."""
    before, dots, behind = term.partition("...")
    hidden = len(shape) - len(before) - len(behind)
    if hidden < 0 or (hidden and not dots):
        raise ShapeError(
            f"einsum: {equation!r}: {term!r} names {len(before) + len(behind)} axes, operand {i} has shape {shape}",
            hint='one letter for each axis; "..." for any further ones',
        )
    return (*before, *(str(number) for number in reversed(range(hidden))), *behind)


def _lengths(equation: str, inputs: Sequence[Names], shapes: Sequence[Shape]) -> dict[str, int]:
    """The length of each name: that of all axes of the name, but for those of length 1."""
    lengths: dict[str, int] = {}
    for i, (names, shape) in enumerate(zip(inputs, shapes, strict=True)):
        for k, (name, length) in enumerate(zip(names, shape, strict=True)):
            known = lengths.get(name, 1)
            of_diagonal = name in names[:k] and shape[names.index(name)] != length
            if of_diagonal or (length != known and 1 not in (length, known)):
                axis = f"axis {name!r}" if name.isalpha() else 'an axis behind "..."'
                raise ShapeError(
                    f"einsum: {equation!r}: {axis} has length {known}, and {length} in operand {i}",
                    hint="another letter for another axis",
                )
            lengths[name] = known if length == 1 else length
    return lengths


def _output(equation: str, terms: Sequence[str], wanted: str | None, hidden: Names) -> Names:
    """The names of the result."""
    counts = Counter(letter for term in terms for letter in term if letter != ".")
    if wanted is None:
        return (*hidden, *sorted(letter for letter, count in counts.items() if count == 1))
    before, dots, behind = wanted.partition("...")
    if hidden and not dots:
        raise ShapeError(f'einsum: {equation!r} drops the axes behind "..."', hint='"..." right of the arrow too')
    for letter, count in Counter(before + behind).items():
        if count > 1 or letter not in counts:
            reason = "occurs twice in the result" if count > 1 else "of the result is in no operand"
            raise ShapeError(
                f"einsum: {equation!r}: {letter!r} {reason}",
                hint="each letter of the result once, and from the operands",
            )
    return (*before, *hidden, *behind) if dots else (*before, *behind)


def _order(inputs: Sequence[Names], output: Names, lengths: dict[str, int]) -> tuple[tuple[int, int], ...]:
    """Which two to multiply next: always the two whose product makes what is kept in memory smallest.

    That is the usual greedy choice (Smith and Gray, "opt_einsum", 2018); among equals it takes the cheapest product.
    """
    left = [frozenset(names) for names in inputs]
    pairs = []

    def size(names: Collection[str]) -> int:
        return math.prod(lengths[name] for name in names)

    def cost(pair: tuple[int, int]) -> tuple[int, int]:
        a, b = left[pair[0]], left[pair[1]]
        return size(product(pair)) - size(a) - size(b), size(a | b)

    def product(pair: tuple[int, int]) -> frozenset[str]:
        others = [names for k, names in enumerate(left) if k not in pair]
        return (left[pair[0]] | left[pair[1]]) & frozenset(output).union(*others)

    while len(left) > 1:
        best = min(((i, j) for j in range(len(left)) for i in range(j)), key=cost)
        pairs.append(best)
        made = product(best)
        left = [names for k, names in enumerate(left) if k not in best] + [made]
    return tuple(pairs)
