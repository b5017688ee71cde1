"""Optimizers, which turn gradients into other values of the parameters, and schedules of the learning rate."""

from clearprop.optim import lr_scheduler
from clearprop.optim.adam import Adam, AdamW
from clearprop.optim.group import ParamGroup
from clearprop.optim.optimizer import Optimizer
from clearprop.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "ParamGroup", "lr_scheduler"]
