"""From a line of arithmetic to a recorded computation.

The line is parsed, never executed: numbers, names, operators and the functions of the registry are all there is.
"""

from __future__ import annotations

import ast
import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, NoReturn

import numpy as np

from clearprop import primitives
from clearprop.errors import UsageError
from clearprop.primitive import PRIMITIVES, Primitive
from clearprop.primitives.families import Binary, Unary
from clearprop.tensor import Tensor

LONGEST = 500
"""An expression has at most so many characters: its table should be read by a person."""

DEEPEST = 100
"""Its parts are nested at most so deeply."""

_OPERATORS: dict[type[ast.operator], Primitive] = {
    ast.Add: primitives.add,
    ast.Sub: primitives.subtract,
    ast.Mult: primitives.multiply,
    ast.Div: primitives.divide,
    ast.Pow: primitives.power,
}
_SYMBOLS = {"BitXor": "^", "Mod": "%", "FloorDiv": "//", "MatMult": "@", "BitAnd": "&", "BitOr": "|"}
_CONSTANTS = {"pi": math.pi, "π": math.pi, "e": math.e}
_ALIASES = {"max": "maximum", "min": "minimum", "ln": "log", "pow": "power", "σ": "sigmoid"}
_LEFT_OUT = ("identity", "finite", "cast", "clip", "add", "subtract", "multiply", "divide", "negative")
_ALLOWED = "numbers, names, + - * / **, parentheses and functions such as exp, log, sigmoid, max"


class Parsed(NamedTuple):
    """An expression that can be computed.

    Attributes:
        text: as it was given, without the space around it.
        tree: its syntax tree.
        names: the names of its variables and constants, in order of appearance.
    """

    text: str
    tree: ast.expr
    names: tuple[str, ...]


def functions() -> dict[str, Primitive]:
    """The functions that an expression may call, by name: all differentiable elementwise primitives of numbers.

    >>> "exp" in functions(), "max" in functions(), "floor" in functions()
    (True, True, False)
    """
    found: dict[str, Primitive] = {
        name: primitive
        for name, primitive in PRIMITIVES.items()
        if isinstance(primitive, (Unary, Binary)) and primitive.differentiable and name not in _LEFT_OUT
    }
    return found | {alias: found[name] for alias, name in _ALIASES.items()}


def parse(text: str) -> Parsed:
    """Read an expression.

    Raises:
        UsageError: if it is not one; with the place marked.

    >>> parse("y * (x**2 + x)").names
    ('y', 'x')
    >>> parse("x^2")
    Traceback (most recent call last):
    clearprop.errors.UsageError: ^ is not an operator here
      x^2
      ^^^
    Try: ** for powers: x**2
    """
    text = " ".join(text.split())
    if not text:
        raise UsageError("the expression is empty", hint='clearprop explain "(x + y) * z" x=-2 y=5 z=-4')
    if len(text) > LONGEST:
        raise UsageError(
            f"the expression has {len(text):,} characters, more than {LONGEST}", hint="explain a part of it"
        )
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise _syntax_error(text, error) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"the expression cannot be read: {str(error) or 'it is nested too deeply'}") from None
    checker = _Checker(text)
    checker.check(tree)
    return Parsed(text, tree, tuple(dict.fromkeys(checker.names)))


def _syntax_error(text: str, error: SyntaxError) -> UsageError:
    if not error.offset or error.offset > len(text):
        return UsageError(marked("the expression ends too early", text, len(text), len(text) + 1))
    start = error.offset - 1
    end = error.end_offset - 1 if error.end_offset and error.end_lineno == error.lineno else start + 1
    message = error.msg.split(". Perhaps")[0]
    hint = "write products with *: 2*x" if "invalid decimal literal" in message else ""
    if "invalid character" in message:
        hint = "* for ×, - for −, **2 for ²"
    return UsageError(marked(f"the expression has a mistake: {message}", text, start, max(end, start + 1)), hint)


def marked(message: str, text: str, start: int, end: int) -> str:
    """A message, and below it the expression with the place underlined.

    >>> print(marked("there", "x + y", 4, 5))
    there
      x + y
          ^
    """
    return f"{message}\n  {text}\n  {' ' * start}{'^' * (end - start)}"


class _Checker:
    """Lets through what an expression may consist of, and collects the names."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: list[str] = []

    def check(self, tree: ast.expr, depth: int = 0) -> None:
        if depth > DEEPEST:
            self._refuse(tree, "this is nested too deeply", "explain a part of it")
        match tree:
            case ast.Constant(value=bool() | str() | bytes() | complex() | None):
                self._refuse(tree, "only real numbers can be written here")
            case ast.Constant(value=int() | float()):
                self._check_number(tree)
            case ast.Name(id=name):
                self.names.append(name)
            case ast.BinOp(left=left, op=op, right=right):
                if type(op) not in _OPERATORS:
                    symbol = _SYMBOLS.get(type(op).__name__, type(op).__name__)
                    hint = "** for powers: x**2" if isinstance(op, ast.BitXor) else _ALLOWED
                    self._refuse(tree, f"{symbol} is not an operator here", hint)
                self.check(left, depth + 1)
                self.check(right, depth + 1)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                self.check(operand, depth + 1)
            case ast.Call(func=ast.Name(id=name)):
                self._check_call(tree, name, depth)
            case _:
                self._refuse(tree, "this cannot be part of an expression")

    def _check_number(self, tree: ast.Constant) -> None:
        assert isinstance(tree.value, (int, float))
        try:
            float(tree.value)
        except OverflowError:
            self._refuse(tree, "this number is too large")

    def _check_call(self, tree: ast.Call, name: str, depth: int) -> None:
        known = functions()
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"{close[0]}(…)" if close else f"one of {', '.join(sorted(known))}"
            if len(name) == 1 and len(tree.args) == 1:
                hint = f"{name}*(…), if a product is meant"
            self._refuse(tree.func, f"there is no function {name}", hint)
        wanted = len(known[name].inputs)
        if len(tree.args) != wanted or tree.keywords or any(isinstance(arg, ast.Starred) for arg in tree.args):
            hint = f"{name}({name}(x, y), z)" if wanted == 2 and len(tree.args) > 2 else ""
            self._refuse(tree, f"{name} takes {wanted} argument{'s' if wanted > 1 else ''}", hint)
        for argument in tree.args:
            self.check(argument, depth + 1)

    def _refuse(self, tree: ast.expr, message: str, hint: str = _ALLOWED) -> NoReturn:
        raise UsageError(marked(message, self.text, *_place(self.text, tree)), hint)


def _place(text: str, tree: ast.expr) -> tuple[int, int]:
    """Where a part of the expression begins and ends. Syntax trees count bytes, people count characters."""
    line = text.encode()
    return len(line[: tree.col_offset].decode()), len(line[: tree.end_col_offset].decode())


def check_values(parsed: Parsed, given: Iterable[str]) -> None:
    """Raise UsageError unless every name has a value; ``pi`` and ``e`` have one unless they are given one."""
    given = list(given)
    missing = [name for name in parsed.names if name not in given and name not in _CONSTANTS]
    if not missing:
        return
    place = next(node for node in ast.walk(parsed.tree) if isinstance(node, ast.Name) and node.id == missing[0])
    spare = [name for name in given if name not in parsed.names]
    close = difflib.get_close_matches(missing[0], spare, n=1)
    known = f"; {close[0]} has one, but is not in the expression" if close else ""
    message = f"{' and '.join(missing)} {'has' if len(missing) == 1 else 'have'} no value{known}"
    example = " ".join(f"{name}=1" for name in missing)
    message = marked(message, parsed.text, *_place(parsed.text, place))
    raise UsageError(message, hint=f"give a number for each: {example}")


class Computation(NamedTuple):
    """A computed expression: its result, and what was computed on the way to it, in order."""

    result: Tensor
    steps: list[Tensor]


def compute(parsed: Parsed, variables: Mapping[str, Tensor]) -> Computation:
    """Compute an expression with primitives, from tensors of its variables."""
    known, steps = functions(), list[Tensor]()

    def apply(primitive: Callable[..., Tensor], *inputs: ast.expr) -> Tensor:
        steps.append(primitive(*[value_of(one) for one in inputs]))
        return steps[-1]

    def value_of(tree: ast.expr) -> Tensor:
        match tree:
            case ast.Constant(value=int() | float() as number):
                return Tensor(np.array(float(number)))
            case ast.Name(id=name):
                return variables[name] if name in variables else Tensor(np.array(_CONSTANTS[name]))
            case ast.BinOp(left=left, op=op, right=right):
                return apply(_OPERATORS[type(op)], left, right)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return apply(primitives.negative, operand)
            case ast.UnaryOp(operand=operand):
                return value_of(operand)
            case ast.Call(func=ast.Name(id=name), args=args):
                return apply(known[name], *args)
        raise AssertionError(ast.dump(tree))  # _Checker lets nothing else through

    return Computation(value_of(parsed.tree), steps)
