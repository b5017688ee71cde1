"""`cp.check`: what can be wrong with a network, its loss and its data, looked for before it is trained."""

from clearprop.train.checking.check import check
from clearprop.train.checking.result import Check, Finding

__all__ = ["Check", "Finding", "check"]
