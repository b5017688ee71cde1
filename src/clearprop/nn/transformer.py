"""The Transformer (Vaswani et al. 2017): stacks of layers, and encoder and decoder together."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from clearprop.arguments import whole
from clearprop.dtypes import to_numpy
from clearprop.errors import ShapeError, UsageError
from clearprop.nn import init
from clearprop.nn.containers import ModuleList
from clearprop.nn.module import Module
from clearprop.nn.normalization import LayerNorm
from clearprop.nn.transformer_layers import Activation, TransformerDecoderLayer, TransformerEncoderLayer
from clearprop.random import Generator
from clearprop.tensor import Tensor, as_tensor


class TransformerEncoder(Module):
    """Layers one after the other, all of them copies of one, with its values.

    Args:
        encoder_layer: the layer to be copied.
        num_layers: how many.
        norm: a module for the output of the last, such as a `LayerNorm`.

    >>> import clearprop as cp
    >>> encoder = cp.nn.TransformerEncoder(cp.nn.TransformerEncoderLayer(8, 2, 32), num_layers=2)
    >>> encoder(cp.ones((7, 5, 8))).shape
    (7, 5, 8)
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = _copies("TransformerEncoder", encoder_layer, num_layers)
        self.norm = norm

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool | None = None
    ) -> Tensor:
        """(T, N, d_model) -> the same shape; masks as of the layer."""
        x = as_tensor(src)
        for layer in self.layers:
            x = layer(x, mask, src_key_padding_mask, bool(is_causal))
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(Module):
    """Layers one after the other, all of them copies of one, with its values; each looks at the same memory.

    Args:
        decoder_layer: the layer to be copied.
        num_layers: how many.
        norm: a module for the output of the last, such as a `LayerNorm`.

    >>> import clearprop as cp
    >>> decoder = cp.nn.TransformerDecoder(cp.nn.TransformerDecoderLayer(8, 2, 32), num_layers=2)
    >>> decoder(cp.ones((7, 5, 8)), cp.ones((9, 5, 8))).shape
    (7, 5, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = _copies("TransformerDecoder", decoder_layer, num_layers)
        self.norm = norm

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """(T, N, d_model) and the memory (S, N, d_model) -> the shape of the first; masks as of the layer."""
        x, memory = as_tensor(tgt), as_tensor(memory)
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        for layer in self.layers:
            x = layer(x, memory, *masks, bool(tgt_is_causal), memory_is_causal)
        return x if self.norm is None else self.norm(x)


class Transformer(Module):
    """From one sequence to another: an encoder makes a memory of the source, a decoder looks at it and at its own past.

    Embedding, positions, and the layer that chooses the next word are the caller's.

    Args:
        d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias: of the
            layers, see `TransformerEncoderLayer`.
        num_encoder_layers, num_decoder_layers: how many.
        custom_encoder, custom_decoder: modules to take the place of encoder and decoder.
        dtype: of the parameters; float32 by default.
        generator: of their first values: matrices uniform as of Glorot and Bengio, each layer's of its own.

    Attributes:
        encoder, decoder: a `TransformerEncoder` and a `TransformerDecoder`, both with a `LayerNorm` at their end.

    >>> import clearprop as cp
    >>> model = cp.nn.Transformer(8, 2, 1, 1, 32, batch_first=True)
    >>> model(cp.ones((5, 9, 8)), cp.ones((5, 7, 8)), tgt_is_causal=True).shape
    (5, 7, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = "relu",
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        arguments = (
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias,
        )  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)

        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first
        if custom_encoder is None:
            layer: Module = TransformerEncoderLayer(*arguments, dtype=dtype, generator=generator)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*arguments, dtype=dtype, generator=generator)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm())
        self.encoder = custom_encoder
        self.decoder = custom_decoder
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the first values of all matrices again; biases and normalizations stay as they are."""
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter, generator=generator)

    def forward(
        self,
        src: Any,
        tgt: Any,
        src_mask: Any = None,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        src_key_padding_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Source (S, N, d_model) and target (T, N, d_model) -> the shape of the target.

        Args:
            src_mask, tgt_mask, memory_mask: (S, S), (T, T) and (T, S), or for each head, see `MultiheadAttention`.
            src_key_padding_mask, tgt_key_padding_mask, memory_key_padding_mask: (N, S), (N, T) and (N, S), True for
                padding; the memory's is most often that of the source.
            src_is_causal, tgt_is_causal, memory_is_causal: nothing looks at what is behind it; needs no mask.

        Raises:
            ShapeError: if source and target do not fit together.
        """
        source, target = as_tensor(src), as_tensor(tgt)
        batch = 0 if self.batch_first else 1
        fits = source.ndim == target.ndim and source.ndim in (2, 3)
        fits = fits and source.shape[-1] == target.shape[-1] == self.d_model
        if not fits or (source.ndim == 3 and source.shape[batch] != target.shape[batch]):
            layout = "(N, S, {0}) and (N, T, {0})" if self.batch_first else "(S, N, {0}) and (T, N, {0})"
            raise ShapeError(
                f"Transformer: src has shape {source.shape}, tgt has shape {target.shape}; they must be "
                f"{layout.format(self.d_model)}, or both without N",
                hint="batch_first=True for inputs (N, T, d_model)" if not self.batch_first else "",
            )
        memory = self.encoder(source, src_mask, src_key_padding_mask, src_is_causal)
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        return self.decoder(target, memory, *masks, tgt_is_causal, memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, *, dtype: Any = None) -> Tensor:
        """(sz, sz): 0 on and below the diagonal, -inf above: what ``tgt_is_causal=True`` does without a mask.

        >>> from clearprop import nn
        >>> nn.Transformer.generate_square_subsequent_mask(2)
        Tensor([[  0., -inf],
                [  0.,   0.]], dtype=float32)
        """
        kind = np.dtype(np.float32) if dtype is None else to_numpy(dtype)
        size = whole("generate_square_subsequent_mask", "sz", sz, 0)
        return Tensor(np.where(np.tri(size, dtype=bool), 0.0, -np.inf).astype(kind))


def _copies(name: str, layer: Any, count: Any) -> ModuleList:
    if not isinstance(layer, Module):
        raise UsageError(f"{name}: {layer!r} is not a layer"[:200], hint=f"nn.{name}Layer(d_model, nhead)")
    return ModuleList(copy.deepcopy(layer) for _ in range(whole(name, "num_layers", count, 0)))
