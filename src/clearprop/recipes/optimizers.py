"""Optimizers by name, where a recipe leaves the choice."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from clearprop.nn import Module
from clearprop.optim import SGD, Adam, AdamW, Optimizer
from clearprop.recipes.settings import Option

OptimizerName: TypeAlias = Annotated[str, Option("what updates the weights", choices=("adamw", "adam", "sgd"))]


def make_optimizer(name: str, model: Module, lr: float, weight_decay: float) -> Optimizer:
    """An optimizer of all weights; plain gradient descent has a momentum of 0.9."""
    if name == "sgd":
        return SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=weight_decay)
    return (AdamW if name == "adamw" else Adam)(model.parameters(), lr=lr, weight_decay=weight_decay)
