"""Layers, containers and initializers that are used in a way that makes no sense: one clear error with a hint."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import models, nn
from clearprop.errors import ClearpropError, DataError, DTypeError, RangeError, ShapeError, UsageError

SEQUENCES = cp.zeros((5, 2, 3))
RECURRENT = [nn.RNN, nn.LSTM, nn.GRU]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.BatchNorm1d(3, momentum="a"), UsageError, "BatchNorm1d: momentum='a'"),
        (lambda: nn.BatchNorm1d(3, momentum=2), UsageError, "BatchNorm1d: momentum=2"),
        (lambda: nn.BatchNorm2d(3, eps=-1), UsageError, "BatchNorm2d: eps=-1"),
        (lambda: nn.LayerNorm(3, eps=None), UsageError, "LayerNorm: eps=None"),
        (lambda: nn.LayerNorm(None), UsageError, "LayerNorm: normalized_shape=None"),
        (lambda: nn.RMSNorm(3, eps=math.nan), UsageError, "RMSNorm: eps=nan"),
        (lambda: nn.GroupNorm(1, 3, eps="a"), UsageError, "GroupNorm: eps='a'"),
        (lambda: nn.InstanceNorm2d(3)(cp.zeros((2, 4, 5, 5))), ShapeError, "4 channels; num_features is 3"),
        (lambda: nn.BatchNorm2d(3)(cp.zeros((2, 3))), ShapeError, r"BatchNorm1d for this x"),
        (lambda: nn.Embedding(3, 2, max_norm=-1), UsageError, "Embedding: max_norm=-1"),
        (lambda: nn.Embedding(3, 2, padding_idx=1.0), RangeError, "padding_idx=1.0"),
        (lambda: nn.MultiheadAttention(4, 2, dropout="a"), UsageError, "MultiheadAttention: dropout='a'"),
        (lambda: nn.LSTM(3, 4, dropout=None), UsageError, "LSTM: dropout=None"),
        (lambda: nn.LSTM(3, 4, proj_size="a"), UsageError, "proj_size='a'"),
        (lambda: nn.LSTM(3, 4, proj_size=-1), UsageError, "proj_size=-1"),
        (lambda: nn.Transformer.generate_square_subsequent_mask(-1), UsageError, "sz=-1"),
        (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 1.5), UsageError, "num_layers=1.5"),
        (lambda: nn.Residual(nn.Linear(2, 1))(cp.zeros((5, 2))), ShapeError, r"\(5, 2\), the module makes \(5, 1\)"),
        (lambda: nn.Unflatten(1, (2, 2))(cp.zeros((2, 3))), ShapeError, r"Unflatten: axis 1 of x, of shape \(2, 3\)"),
        (lambda: nn.Unflatten(1, "ab"), DTypeError, "unflattened_size='ab'"),
        (lambda: nn.PReLU(init="a"), UsageError, "PReLU: init='a'"),
        (lambda: models.mlp(None, [3], 2), UsageError, "mlp: None inputs"),
        (lambda: models.mlp(3, None, 2), UsageError, "hidden layers None"),
        (lambda: models.mlp(3, [2.5], 2), UsageError, r"hidden layers \[2\.5\]"),
        (lambda: models.image_mlp(None, [3], 2), DTypeError, "image=None"),
        (lambda: models.image_mlp((1, 8, 8), [3], 2, shift="a"), UsageError, "RandomShift: pixels='a'"),
        # modules of modules
        (lambda: nn.ModuleList(nn.Linear(2, 2)), UsageError, "ModuleList: .* is no list of modules"),
        (lambda: nn.ModuleList([nn.ReLU()])["a"], RangeError, "there is no module 'a'; it has 1"),
        (lambda: nn.ModuleList([nn.ReLU()])(cp.zeros(2)), UsageError, "holds modules and computes nothing"),
        (lambda: nn.ModuleDict([nn.ReLU()]), UsageError, "is no dictionary of modules"),
        (lambda: nn.ModuleDict({1: nn.ReLU()}), UsageError, "1 cannot be the name"),
        (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), UsageError, "Try: 'a_b'"),
        (lambda: nn.ModuleDict({"a": nn.ReLU()})(cp.zeros(2)), UsageError, "holds modules and computes nothing"),
        # what can be done to modules
        (lambda: nn.ReLU().train("no"), UsageError, "ReLU.train: mode='no'"),
        (lambda: nn.ReLU().requires_grad_(0), UsageError, "flag=0"),
        (lambda: nn.ReLU().apply(3), UsageError, "apply: the function is 3"),
        (lambda: nn.ReLU().register_forward_hook(3), UsageError, "ReLU: the hook is 3"),
        (lambda: nn.ReLU().register_parameter("w", cp.zeros(2)), UsageError, "register_parameter: w is a Tensor"),
        (lambda: nn.ReLU().register_buffer("a.b", cp.zeros(2)), UsageError, "'a.b' cannot be the name"),
        (lambda: nn.Linear(3, 2).load_state_dict({1: cp.zeros(2)}), DataError, "unexpected: 1"),
        (lambda: nn.functional_call(3, {}, 1), UsageError, "functional_call: 3 is not a module"),
        (lambda: nn.functional_call(nn.ReLU(), None, 1), UsageError, "the values are a NoneType"),
        (lambda: nn.summary(nn.Linear(3, 2), None), DTypeError, "input_shapes=None"),
        # initializers
        (lambda: nn.init.normal_(nn.Linear(2, 2)), UsageError, "a Linear cannot be changed in place"),
        (lambda: nn.init.xavier_uniform_(None), UsageError, "a NoneType cannot be changed in place"),
        (lambda: nn.init.dirac_(cp.zeros((3, 3, 3))), UsageError, "a Tensor cannot be changed in place"),
        (lambda: nn.init.constant_(cp.Parameter([0.0]), None), UsageError, "init.constant_: val=None"),
        (lambda: nn.init.constant_(cp.Parameter([0.0]), "a"), UsageError, "init.constant_: val='a'"),
        (lambda: nn.init.normal_(cp.Parameter([0.0]), std=-1), UsageError, "init.normal_: std=-1"),
        (lambda: nn.init.uniform_(cp.Parameter([0.0]), 2, 1), UsageError, "a=2 is larger than b=1"),
        (lambda: nn.init.xavier_normal_(cp.Parameter([[0.0]]), gain="a"), UsageError, "gain='a'"),
    ],
)
def test_one_clear_error(call: Callable[[], Any], error: type[ClearpropError], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        call()
    assert "\nTry: " in str(caught.value)


@pytest.mark.parametrize("kind", RECURRENT)
def test_sequences_of_length_0(kind: Any) -> None:
    layer = kind(3, 4)
    with pytest.raises(ShapeError, match=rf"{kind.__name__}: input has shape \(0, 2, 3\)[\s\S]*Try: leave empty"):
        layer(SEQUENCES[:0])
    with pytest.raises(RangeError, match=r"lengths\[1\] is 0; the input has 5 steps[\s\S]*Try: lengths from 1 to 5"):
        layer(SEQUENCES, lengths=[2, 0])


@pytest.mark.parametrize("lengths", [[6, 2], [2, 0], [-1, 2]])
@pytest.mark.parametrize("kind", RECURRENT)
def test_lengths_are_looked_at_in_compiled_functions_too(kind: Any, lengths: list[int]) -> None:
    layer = kind(3, 4)
    run = cp.compile(lambda x, ends: layer(x, lengths=ends)[0], executor="reference")
    fine = cp.asarray([5, 1])
    np.testing.assert_allclose(run(SEQUENCES, fine), layer(SEQUENCES, lengths=fine)[0].numpy(), rtol=1e-6)
    with pytest.raises(
        RangeError, match=rf"{kind.__name__}: (a length|lengths\[\d\]) is [\s\S]*Try: lengths from 1 to 5"
    ):
        run(SEQUENCES, cp.asarray(lengths))


def test_a_name_that_a_dictionary_of_modules_does_not_have() -> None:
    with pytest.raises(KeyError, match="there is no module 'b'; it has a"):
        nn.ModuleDict({"a": nn.ReLU()})["b"]


def test_a_dictionary_of_modules_takes_pairs_too() -> None:
    assert list(nn.ModuleDict([("a", nn.ReLU()), ("b", nn.Tanh())]).keys()) == ["a", "b"]


def test_a_value_that_is_no_array() -> None:
    class Foreign:
        """As a tensor of PyTorch in bfloat16."""

        def numpy(self) -> Any:
            raise TypeError("Got unsupported ScalarType BFloat16")

    with pytest.raises(DataError, match=r"unsupported ScalarType BFloat16\nTry: value.detach\(\).float\(\)"):
        nn.Linear(3, 2).load_state_dict({"weight": Foreign(), "bias": np.zeros(2)})
