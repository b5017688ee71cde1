"""Optimizers, which turn gradients into other values of the parameters, and schedules of the learning rate."""

from clearprop.optim import lr_scheduler, swa_utils
from clearprop.optim.adadelta import Adadelta
from clearprop.optim.adagrad import Adagrad
from clearprop.optim.adam import Adam, AdamW
from clearprop.optim.adamax import Adamax
from clearprop.optim.group import ParamGroup
from clearprop.optim.lion import Lion
from clearprop.optim.nadam import NAdam
from clearprop.optim.optimizer import Optimizer
from clearprop.optim.radam import RAdam
from clearprop.optim.rmsprop import RMSprop
from clearprop.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "NAdam",
    "Optimizer",
    "ParamGroup",
    "RAdam",
    "RMSprop",
    "lr_scheduler",
    "swa_utils",
]
