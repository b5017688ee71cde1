"""Networks: modules with parameters, their first values, and losses. Names and arguments are PyTorch's.

With one difference, from the lecture notes: weights of linear layers are stored [in, out], so that y = x @ W + b.
"""

from clearprop import functional
from clearprop.nn import init, utils
from clearprop.nn.activations import (
    ELU,
    GELU,
    LeakyReLU,
    LogSoftmax,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from clearprop.nn.containers import ModuleDict, ModuleList, Residual, Sequential
from clearprop.nn.dropout import Dropout
from clearprop.nn.linear import Flatten, Identity, Linear, Maxout
from clearprop.nn.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from clearprop.nn.module import HookHandle, Module
from clearprop.nn.recurrent import GRU, LSTM, RNN
from clearprop.nn.recurrent_cells import GRUCell, LSTMCell, RNNCell
from clearprop.nn.stateless import functional_call
from clearprop.nn.summarizing import Summary, SummaryRow, summarize, summary
from clearprop.tensor import Buffer, Parameter

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "GRUCell",
    "LSTM",
    "LSTMCell",
    "RNN",
    "RNNCell",
    "BCEWithLogitsLoss",
    "Buffer",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "HookHandle",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "Maxout",
    "Module",
    "ModuleDict",
    "ModuleList",
    "PReLU",
    "Parameter",
    "ReLU",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Summary",
    "SummaryRow",
    "Tanh",
    "functional",
    "functional_call",
    "init",
    "summarize",
    "summary",
    "utils",
]
