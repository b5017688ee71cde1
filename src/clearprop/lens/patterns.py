"""The patterns of gradient flow, in the words of the lecture notes."""

from __future__ import annotations

FAN_OUT = "fan-out adds"

_PATTERNS = {
    "add": "addition distributes",
    "subtract": "subtraction distributes, to the second with a minus",
    "multiply": "multiplication switches",
    "matmul": "multiplication switches",
    "maximum": "maximum selects",
    "max": "maximum selects",
    "relu": "maximum selects",
    "minimum": "minimum selects",
    "min": "minimum selects",
    "where": "the condition selects",
    "broadcast": FAN_OUT,
    "sum": "addition distributes",
}


def pattern(primitive: str) -> str:
    """How gradients flow through a primitive, if it has one of the named patterns; else empty.

    >>> pattern("add"), pattern("multiply"), pattern("exp")
    ('addition distributes', 'multiplication switches', '')
    """
    return _PATTERNS.get(primitive, "")
