"""Attention with several heads (Vaswani et al. 2017, section 3.2.2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from clearprop.arguments import number
from clearprop.array import concat, expand_dims, logical_not, mean, permute_dims, reshape, zeros
from clearprop.array.promotion import expand
from clearprop.cell import Parameter
from clearprop.dtypes import to_numpy
from clearprop.errors import ShapeError, UsageError
from clearprop.functional.attention import Masks, as_mask, attend, causal, check_one_dtype, check_something_seen
from clearprop.functional.layers import linear
from clearprop.nn import init
from clearprop.nn.linear import Linear
from clearprop.nn.module import Module
from clearprop.nn.positions import RotaryPositions
from clearprop.primitive import numpy_dtype
from clearprop.primitives.shaping import inverse_permutation, take_range
from clearprop.random import Generator
from clearprop.tensor import Tensor, as_tensor


class MultiheadAttention(Module):
    """Attention of several heads side by side, each on a projection of its own; their outputs are projected once more.

    Args:
        embed_dim: length of queries and outputs.
        num_heads: how many heads; it divides embed_dim.
        dropout: share of the weights that is zeroed while training.
        bias: False for projections without one.
        add_bias_kv: one more key and value, which are learned and everybody may look at.
        add_zero_attn: one more key and value, all zeros.
        kdim, vdim: lengths of keys and values; embed_dim by default.
        batch_first: True for (N, L, …) instead of (L, N, …).
        rotary: turns the queries and keys of each head by their positions, see `RotaryPositions`.
        dtype: of the parameters; float32 by default.
        generator: of their first values.

    Attributes:
        in_proj_weight: (embed_dim, 3 embed_dim), for queries, keys and values side by side: transposed, compared with
            PyTorch. With kdim or vdim three of their own: q_proj_weight, k_proj_weight and v_proj_weight.
        in_proj_bias: (3 embed_dim,), or None.
        bias_k, bias_v: (1, 1, embed_dim), or None.
        out_proj: a `Linear`.

    >>> import clearprop as cp
    >>> attention, x = cp.nn.MultiheadAttention(8, 2, batch_first=True), cp.ones((5, 7, 8))
    >>> output, weights = attention(x, x, x, is_causal=True, need_weights=True)
    >>> output.shape, weights.shape
    ((5, 7, 8), (5, 7, 7))
    """

    torch_transposes = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        rotary: RotaryPositions | None = None,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn
        self.rotary = rotary
        self._check_arguments()
        kind = np.dtype(np.float32) if dtype is None else to_numpy(dtype)
        same = self.kdim == self.vdim == embed_dim
        self.in_proj_weight = _parameter((embed_dim, 3 * embed_dim), kind, same)
        self.q_proj_weight = _parameter((embed_dim, embed_dim), kind, not same)
        self.k_proj_weight = _parameter((self.kdim, embed_dim), kind, not same)
        self.v_proj_weight = _parameter((self.vdim, embed_dim), kind, not same)
        self.in_proj_bias = _parameter((3 * embed_dim,), kind, bias)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=kind, generator=generator)
        self.bias_k = _parameter((1, 1, embed_dim), kind, add_bias_kv)
        self.bias_v = _parameter((1, 1, embed_dim), kind, add_bias_kv)
        self._draw(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the first values again."""
        self.out_proj.reset_parameters(generator)
        self._draw(generator)

    def _draw(self, generator: Generator | None) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight, generator=generator)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra, generator=generator)

    def _check_arguments(self) -> None:
        sizes: dict[str, Any] = {
            "embed_dim": self.embed_dim,
            "num_heads": self.num_heads,
            "kdim": self.kdim,
            "vdim": self.vdim,
        }
        for label, size in sizes.items():
            if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 1:
                raise UsageError(f"MultiheadAttention: {label}={size!r}", hint="a whole number from 1 on")
        if self.embed_dim % self.num_heads:
            raise UsageError(
                f"MultiheadAttention: embed_dim={self.embed_dim} cannot be divided into {self.num_heads} heads",
                hint=f"embed_dim={self.num_heads * (self.embed_dim // self.num_heads + 1)}, or another num_heads",
            )
        number("MultiheadAttention", "dropout", self.dropout, 0.0, 1.0)
        if self.rotary is not None and self.embed_dim // self.num_heads % 2:
            raise UsageError(
                f"MultiheadAttention: rotary positions take columns in pairs; heads of length "
                f"{self.embed_dim // self.num_heads} have an odd number",
                hint=f"embed_dim={2 * self.num_heads * (self.embed_dim // self.num_heads // 2 + 1)}",
            )

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = False,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """What each query finds among the values.

        Args:
            query: (L, N, embed_dim); (N, L, embed_dim) with ``batch_first``; (L, embed_dim) without a batch.
            key, value: (S, N, kdim) and (S, N, vdim), laid out likewise.
            key_padding_mask: (N, S), or (S,) without a batch. Booleans: True hides a key, being padding, from all
                queries. Numbers: added to the scores.
            need_weights: whether to return the weights too. False by default, unlike in PyTorch.
            attn_mask: (L, S), or (N * num_heads, L, S) to have one for each head. Booleans: True hides a key from a
                query, as in PyTorch's module (but not its function). Numbers: added to the scores.
            average_attn_weights: the mean of the weights over the heads, instead of those of each head.
            is_causal: query i may look at the keys 0 to i only; needs no mask, unlike in PyTorch. With one, both hold.

        Returns:
            The output, laid out like the query; and the weights after dropout, (N, L, S) or (N, num_heads, L, S), or
            None. A query from which all keys are hidden finds zeros.

        Raises:
            ShapeError: if a shape does not fit, or a sequence is empty.
            DTypeError: if the inputs are not of the dtype of the parameters, or a mask holds integers.
            DataError: if a mask, where it is known, hides everything from everybody in some example.
        """
        q, k, v = as_tensor(query), as_tensor(key), as_tensor(value)
        self._check_inputs(q, k, v)
        masks = self._masks(q, k, key_padding_mask, attn_mask, is_causal)
        q, k, v = (self._heads(x) for x in self._projected(q, k, v))
        if self.rotary is not None:
            q, k = self.rotary(q), self.rotary(k)
        k, v, masks = self._with_extra_keys(k, v, masks)
        attended = attend(q, k, v, masks, self.dropout if self.training else 0.0)
        output = self.out_proj(self._joined(attended.output))
        if not need_weights:
            return output, None
        return output, mean(attended.weights, axis=-3) if average_attn_weights else attended.weights

    def _projected(self, q: Tensor, k: Tensor, v: Tensor) -> list[Tensor]:
        """Queries, keys and values, all of length embed_dim; neighbours that are one tensor in one product."""
        parts: list[Tensor] = []
        xs, size = (q, k, v), self.embed_dim
        while len(parts) < 3:
            first = len(parts)
            count = 1
            while self.in_proj_weight is not None and first + count < 3 and xs[first + count] is xs[first]:
                count += 1
            share = linear(xs[first], *self._projection(first, count))
            parts += [take_range(share, share.ndim - 1, i * size, (i + 1) * size) for i in range(count)]
        return parts

    def _projection(self, first: int, count: int) -> tuple[Any, Any]:
        """Weight and bias of ``count`` of the three projections, from that one on."""
        start, stop = first * self.embed_dim, (first + count) * self.embed_dim
        weight: Any = self.in_proj_weight
        if weight is None:
            weight = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[first]
        elif count < 3:
            weight = weight[:, start:stop]
        return weight, None if self.in_proj_bias is None else self.in_proj_bias[start:stop]

    def _order(self, ndim: int) -> tuple[int, ...]:
        """The axes of what the heads work on, (N, heads, L, d), in the layout of the input, (L, N, heads, d)."""
        if ndim == 2:
            return (1, 0, 2)
        return (0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3)

    def _heads(self, x: Tensor) -> Tensor:
        """(L, N, embed_dim) -> (N, heads, L, d)."""
        apart = reshape(x, (*x.shape[:-1], self.num_heads, self.embed_dim // self.num_heads))
        return permute_dims(apart, self._order(x.ndim))

    def _joined(self, x: Tensor) -> Tensor:
        """(N, heads, L, d) -> (L, N, embed_dim)."""
        apart = permute_dims(x, inverse_permutation(self._order(x.ndim - 1)))
        return reshape(apart, (*apart.shape[:-2], self.embed_dim))

    def _with_extra_keys(self, k: Tensor, v: Tensor, masks: Masks) -> tuple[Tensor, Tensor, Masks]:
        """With the learned key and value, and those of zeros, behind the others."""
        extra: list[tuple[Tensor, Tensor]] = []
        one = (*k.shape[:-2], 1, k.shape[-1])
        if self.bias_k is not None and self.bias_v is not None:
            by_head = (self.num_heads, 1, k.shape[-1])
            extra.append((expand(reshape(self.bias_k, by_head), one), expand(reshape(self.bias_v, by_head), one)))
        if self.add_zero_attn:
            nothing = zeros(one, dtype=k.dtype)
            extra.append((nothing, nothing))
        if not extra:
            return k, v, masks
        keys, values = zip(*extra, strict=True)
        return concat([k, *keys], axis=-2), concat([v, *values], axis=-2), masks.with_more_keys(len(extra))

    def _masks(self, q: Tensor, k: Tensor, padding: Any, attn: Any, is_causal: bool) -> Masks:
        """All masks, in the shapes that the heads work on, and with the meaning that they have there."""
        along = 0 if q.ndim == 2 or not self.batch_first else 1
        queries, keys = q.shape[along], k.shape[along]
        batch = () if q.ndim == 2 else (q.shape[1 - along],)
        masks = causal(queries, keys) if is_causal else Masks()
        if padding is not None:
            mask = self._mask("key_padding_mask", padding, [(*batch, keys)])
            masks = _joined_masks(masks, reshape(mask, (*batch, 1, 1, keys)))
        if attn is not None:
            by_head = (*([batch[0] * self.num_heads] if batch else [self.num_heads]), queries, keys)
            mask = self._mask("attn_mask", attn, [(queries, keys), by_head])
            shape = mask.shape if mask.ndim == 2 else (*batch, self.num_heads, queries, keys)
            masks = _joined_masks(masks, reshape(mask, shape))
        return masks

    def _mask(self, label: str, given: Any, shapes: list[tuple[int, ...]]) -> Tensor:
        """A mask that has one of these shapes, booleans turned to say what may be looked at."""
        mask = as_mask("MultiheadAttention", label, given, "may not look")
        if mask.shape not in shapes:
            raise ShapeError(
                f"MultiheadAttention: {label} has shape {mask.shape}; it must be {' or '.join(map(str, shapes))}",
                hint="(N, S) for key_padding_mask; (L, S) or (N * num_heads, L, S) for attn_mask",
            )
        if numpy_dtype(mask).kind == "b":
            mask = logical_not(mask)
        # Padding says for each example which keys there are: (N, S), so each row is an example.
        check_something_seen(
            "MultiheadAttention", label, expand_dims(mask, -2) if label == "key_padding_mask" else mask
        )
        return mask

    def _check_inputs(self, q: Tensor, k: Tensor, v: Tensor) -> None:
        found = f"query has shape {q.shape}, key {k.shape}, value {v.shape}"
        layout = "({1}, {0}, {2})" if self.batch_first else "({0}, {1}, {2})"
        sizes = (("L", self.embed_dim), ("S", self.kdim), ("S", self.vdim))
        wanted = ", ".join(layout.format(length, "N", size) for length, size in sizes)
        fits = q.ndim in (2, 3) and q.ndim == k.ndim == v.ndim and k.shape[:-1] == v.shape[:-1]
        fits = fits and (q.shape[-1], k.shape[-1], v.shape[-1]) == (self.embed_dim, self.kdim, self.vdim)
        batch = 0 if self.batch_first else 1
        if not fits or (q.ndim == 3 and q.shape[batch] != k.shape[batch]):
            raise ShapeError(
                f"MultiheadAttention: {found}; they must be {wanted}, or all without N",
                hint="batch_first=True for inputs (N, L, E)" if not self.batch_first else "",
            )
        along = 0 if q.ndim == 2 or not self.batch_first else 1
        if q.shape[along] == 0 or k.shape[along] == 0:
            raise ShapeError(
                f"MultiheadAttention: {found}: a sequence must have at least one element",
                hint="leave empty sequences out of the data",
            )
        check_one_dtype("MultiheadAttention", numpy_dtype(self.out_proj.weight.peek()), query=q, key=k, value=v)

    def extra_repr(self) -> str:
        """Its arguments, as far as they are not the usual ones."""
        others = {
            "dropout": self.dropout,
            "add_zero_attn": self.add_zero_attn,
            "kdim": self.kdim if self.kdim != self.embed_dim else None,
            "vdim": self.vdim if self.vdim != self.embed_dim else None,
            "batch_first": self.batch_first,
        }
        named = [f"{name}={value!r}" for name, value in others.items() if value]
        return ", ".join([str(self.embed_dim), str(self.num_heads), *named])


def _parameter(shape: tuple[int, ...], dtype: np.dtype[Any], wanted: bool) -> Parameter | None:
    return Parameter(np.empty(shape, dtype)) if wanted else None


def _joined_masks(masks: Masks, mask: Tensor) -> Masks:
    return masks.and_allowed(mask) if numpy_dtype(mask).kind == "b" else masks.and_added(mask)
