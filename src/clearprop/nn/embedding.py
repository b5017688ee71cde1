"""Tables of vectors for words and other things that are numbered; see `functional.embedding`."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from clearprop import functional
from clearprop.arguments import number
from clearprop.array import matmul, matrix_transpose
from clearprop.cell import Parameter
from clearprop.dtypes import to_numpy
from clearprop.errors import ShapeError
from clearprop.functional.checks import check_dtype
from clearprop.functional.embedding import check_mode, padding_row
from clearprop.nn import init
from clearprop.nn.linear import check_sizes
from clearprop.nn.module import Module
from clearprop.random import Generator
from clearprop.tensor import Tensor, as_tensor


class Table(Module):
    """What `Embedding` and `EmbeddingBag` share: the rows, and how they come about; arguments as of `Embedding`."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        max_norm: float | None,
        norm_type: float,
        scale_grad_by_freq: bool,
        dtype: Any,
        generator: Generator | None,
    ) -> None:
        name = type(self).__name__
        check_sizes(name, num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_row(name, padding_idx, num_embeddings)
        self.max_norm = None if max_norm is None else number(name, "max_norm", max_norm, 0.0)
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        kind = np.dtype(np.float32) if dtype is None else to_numpy(dtype)
        self.weight = Parameter(np.empty((num_embeddings, embedding_dim), kind))
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw the rows again, all but that of the padding, which is 0."""
        init.normal_(self.weight, generator=generator)
        if self.padding_idx is not None:
            self.weight.assign(self.weight.value.at[self.padding_idx].set(0.0))

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, **arguments: Any) -> Self:
        """A table of given rows.

        Args:
            embeddings: (num_embeddings, embedding_dim).
            freeze: whether they get no gradient.
            arguments: the others of the class, by name.

        Raises:
            ShapeError: if the rows are no matrix.

        >>> import clearprop as cp
        >>> cp.nn.Embedding.from_pretrained([[1.0, 2.0], [3.0, 4.0]])([1])
        Tensor([[3., 4.]], dtype=float32)
        """
        rows = as_tensor(embeddings)
        if rows.ndim != 2:
            raise ShapeError(
                f"{cls.__name__}.from_pretrained: embeddings have shape {rows.shape}, and are no matrix",
                hint="a row for each word",
            )
        make: Any = cls  # the classes below have values for all other arguments
        table: Self = make(*rows.shape, dtype=rows.dtype, **arguments)
        table.weight.assign(rows.detach())
        return table.requires_grad_(not freeze)

    def extra_repr(self) -> str:
        """Its arguments, as far as they are not the usual ones."""
        usual = {"padding_idx": None, "max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False}
        changed = [f"{name}={getattr(self, name)}" for name, value in usual.items() if getattr(self, name) != value]
        return ", ".join([str(self.num_embeddings), str(self.embedding_dim), *changed])


class Embedding(Table):
    """See `functional.embedding`: integers of any shape -> (…, embedding_dim).

    Args:
        num_embeddings: how many rows.
        embedding_dim: how long they are.
        padding_idx: the row that stands for nothing: at first 0, and it gets no gradient.
        max_norm, norm_type, scale_grad_by_freq: see `functional.embedding`.
        dtype: float32 by default.
        generator: of the first values, which are normally distributed.

    Attributes:
        weight: (num_embeddings, embedding_dim).

    >>> import clearprop as cp
    >>> words = cp.nn.Embedding(1000, 16)
    >>> words(cp.tensor([[4, 8], [15, 16]])).shape
    (2, 2, 16)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        *,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, dtype, generator
        )

    def forward(self, x: Any) -> Tensor:
        """Integers of any shape -> (…, embedding_dim)."""
        return functional.embedding(
            x, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq
        )

    def as_linear(self, x: Any) -> Tensor:
        """X @ weight.T: the table as the last layer of a language model (Press and Wolf 2016, "tied" weights).

        (…, embedding_dim) -> (…, num_embeddings), how well each word fits. There is one parameter, it is saved once,
        and its gradients of both uses add up.

        >>> import clearprop as cp
        >>> words = cp.nn.Embedding.from_pretrained([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> words.as_linear([[2.0, 3.0]])
        Tensor([[2., 3., 5.]], dtype=float32)
        """
        rows = as_tensor(self.weight)
        check_dtype("as_linear", "x", as_tensor(x), rows, self.weight)
        return matmul(x, matrix_transpose(rows))  # (…, D) @ (D, V) -> (…, V)


class EmbeddingBag(Table):
    """See `functional.embedding_bag`: the sum, mean or maximum of rows; arguments as of `Embedding`.

    Args:
        mode: "sum", "mean" or "max".
        include_last_offset: whether offsets end with the number of positions.

    >>> import clearprop as cp
    >>> bags = cp.nn.EmbeddingBag.from_pretrained([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], mode="sum")
    >>> bags(cp.tensor([0, 1, 2]), offsets=cp.tensor([0, 2]))
    Tensor([[4., 6.],
            [5., 6.]], dtype=float32)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        *,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        dtype: Any = None,
        generator: Generator | None = None,
    ) -> None:
        check_mode(mode)
        super().__init__(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, dtype, generator
        )
        self.mode = mode
        self.include_last_offset = include_last_offset

    def forward(self, x: Any, offsets: Any = None, per_sample_weights: Any = None) -> Tensor:
        """(B, L), or (N,) with offsets (B,) -> (B, embedding_dim)."""
        return functional.embedding_bag(
            x,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """Its arguments, as far as they are not the usual ones."""
        return f"{super().extra_repr()}, mode={self.mode!r}"
