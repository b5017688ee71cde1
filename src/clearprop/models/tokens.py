"""What networks of texts check of their input."""

from __future__ import annotations

from clearprop.array.promotion import ArrayLike
from clearprop.errors import ShapeError
from clearprop.tensor import Tensor, as_tensor


def check_tokens(name: str, tokens: ArrayLike) -> Tensor:
    """The tokens of some texts as a tensor, (N, T).

    Raises:
        ShapeError: they have another shape, or a text has no token.

    >>> check_tokens("GPT", [1, 2, 3])
    Traceback (most recent call last):
    clearprop.errors.ShapeError: GPT: tokens have shape (3,); they must be (N, T), with a text in each row
      at ...
    Try: tokens[None] for one text
    """
    x = as_tensor(tokens)
    if x.ndim != 2:
        raise ShapeError(
            f"{name}: tokens have shape {x.shape}; they must be (N, T), with a text in each row",
            hint="tokens[None] for one text",
        )
    if x.shape[1] == 0:
        raise ShapeError(
            f"{name}: tokens have shape {x.shape}: a text must have at least one token",
            hint="leave empty texts out of the data",
        )
    return x
