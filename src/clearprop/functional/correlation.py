"""Cross-correlation and convolution by their own names, for plain arrays without channels."""

from __future__ import annotations

from clearprop import primitives
from clearprop.array.promotion import ArrayLike, same_dtype
from clearprop.errors import ShapeError
from clearprop.functional.windows import Setting, moves_of
from clearprop.primitives.windows import checked_lengths
from clearprop.tensor import Tensor, as_tensor


def cross_correlate(
    x: ArrayLike, kernel: ArrayLike, *, stride: Setting = 1, padding: Setting | str = 0, dilation: Setting = 1
) -> Tensor:
    """The cross-correlation of an array with a kernel: the kernel slides over the array as it is.

    z[i, j] = Σ_k,l x[i + k, j + l] kernel[k, l]. This is what networks compute in their "convolutional" layers. In a
    convolution proper, `convolve`, the kernel is turned round. A network that learns its kernels does not care: it
    learns them turned. The gradient of one by its array is the other.

    Args:
        x: an array with any number of axes, at least one.
        kernel: an array with as many axes.
        padding: zeros around x: a number, or one for each axis; "valid" for none, "same" for as many as keep the
            lengths (of an odd number one more behind), "full" for all places where the two overlap at all.

    Raises:
        ShapeError: if the numbers of axes differ, or the kernel is larger than the array.

    >>> import clearprop.functional as F
    >>> F.cross_correlate([0.0, 0.0, 1.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    Tensor([3., 2., 1.], dtype=float32)
    """
    return _slid("cross_correlate", *same_dtype(as_tensor(x), as_tensor(kernel)), stride, padding, dilation)


def convolve(
    x: ArrayLike, kernel: ArrayLike, *, stride: Setting = 1, padding: Setting | str = 0, dilation: Setting = 1
) -> Tensor:
    """The convolution of an array with a kernel, as mathematics means it: the kernel is turned round, and then slides.

    z[i, j] = Σ_k,l x[i - k, j - l] kernel[k, l], up to where i and j begin. It is `cross_correlate` with the flipped
    kernel, and takes the same arguments. Because of the turn it is symmetric (with padding="full", where nothing is
    lost) and associative: x * k = k * x, and (x * k) * l = x * (k * l). A single 1 in x becomes a copy of the kernel.

    >>> import clearprop.functional as F
    >>> F.convolve([0.0, 0.0, 1.0, 0.0, 0.0], [1.0, 2.0, 3.0])
    Tensor([1., 2., 3.], dtype=float32)
    >>> F.convolve([1.0, 2.0], [1.0, 10.0], padding="full")
    Tensor([ 1., 12., 20.], dtype=float32)
    """
    array, turned = same_dtype(as_tensor(x), as_tensor(kernel))
    if turned.ndim == array.ndim:
        turned = primitives.flip(turned, axes=tuple(range(turned.ndim)))
    return _slid("convolve", array, turned, stride, padding, dilation)


def _slid(name: str, x: Tensor, kernel: Tensor, stride: Setting, padding: Setting | str, dilation: Setting) -> Tensor:
    """A kernel over an array, both without channels."""
    axes = x.ndim
    if axes != kernel.ndim or not axes:
        raise ShapeError(
            f"{name}: x has shape {x.shape}, kernel has shape {kernel.shape}; both need as many axes",
            hint="a kernel with an axis for each axis of x",
        )
    image = primitives.reshape(x, shape=(1, 1, *x.shape))
    window = primitives.reshape(kernel, shape=(1, 1, *kernel.shape))
    moves = moves_of(name, kernel.shape, stride, padding, dilation, "valid", "same", "full")
    checked_lengths(name, image.shape, kernel.shape, moves)
    z = primitives.convolution(image, window, moves=moves)
    return primitives.reshape(z, shape=z.shape[2:])
