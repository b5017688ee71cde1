"""One time step of each recurrent network, as functions of the state: what `nn.LSTM` and its like repeat in a `scan`.

All of them take the input's share of the pre-activation, x @ W_ih + biases, ready made: a layer computes it for all
time steps in one matrix product, before the loop. What is left in a step is the product of the state with the weights
of all gates side by side, and the gates. Shapes and dtypes are known to fit, so these are primitives throughout: a step
runs once for every element of a sequence, and every node of it costs.

In the shapes N is the batch, H the size of the state, P that of the output (H, unless it is projected).
"""

from __future__ import annotations

from clearprop.primitives import add, matmul, multiply, relu, sigmoid, subtract, tanh
from clearprop.primitives.shaping import take_range
from clearprop.tensor import Tensor


def rnn_step(x: Tensor, h: Tensor, weight: Tensor, nonlinearity: str = "tanh") -> Tensor:
    """h' = tanh(x + h W), the simple network (Elman 1990); or relu in the place of tanh (Le, Jaitly, Hinton 2015).

    Args:
        x: the input's share, (N, H).
        h: the state, (N, H).
        weight: W_hh, (H, H).
        nonlinearity: "tanh" or "relu".

    Returns:
        The next state, (N, H).
    """
    total = add(matmul(h, weight), x)  # (N, H) @ (H, H) -> (N, H)
    return tanh(total) if nonlinearity == "tanh" else relu(total)


def lstm_step(
    x: Tensor, h: Tensor, c: Tensor, weight: Tensor, projection: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The long short-term memory (Hochreiter and Schmidhuber 1997; with the forget gate of Gers et al. 2000).

    i, f, o = σ(…) and g = tanh(…) of x + h W;  c' = f c + i g;  h' = o tanh(c'), or that times a projection
    (Sak et al. 2014).

    Args:
        x: the input's share, (N, 4 H), in the order i, f, g, o.
        h, c: the state, (N, P) and (N, H).
        weight: W_hh, (P, 4 H).
        projection: W_hr, (H, P), or None.

    Returns:
        The next h and c.
    """
    size = c.shape[1]
    gates = add(matmul(h, weight), x)  # (N, P) @ (P, 4 H) -> (N, 4 H)
    i, f, g, o = (take_range(gates, 1, k * size, (k + 1) * size) for k in range(4))
    c = add(multiply(sigmoid(f), c), multiply(sigmoid(i), tanh(g)))
    h = multiply(sigmoid(o), tanh(c))
    return (h if projection is None else matmul(h, projection)), c  # (N, H) @ (H, P) -> (N, P)


def gru_step(x_gates: Tensor, x_new: Tensor, h: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The gated recurrent unit (Cho et al. 2014), with the reset gate behind the product, as PyTorch has it.

    r, z = σ(…) of x + h W + b;  n = tanh(x + r (h W + b));  h' = (1 - z) n + z h, computed as n + z (h - n).

    Args:
        x_gates: the input's share in r and z, (N, 2 H).
        x_new: its share in n, (N, H).
        h: the state, (N, H).
        weight: W_hh, (H, 3 H), in the order r, z, n.
        bias: b_hh, repeated to (N, 3 H), or None.

    Returns:
        The next state, (N, H).
    """
    size = h.shape[1]
    own = matmul(h, weight)  # (N, H) @ (H, 3 H) -> (N, 3 H)
    own = own if bias is None else add(own, bias)
    gates = sigmoid(add(take_range(own, 1, 0, 2 * size), x_gates))
    r, z = take_range(gates, 1, 0, size), take_range(gates, 1, size, 2 * size)
    n = tanh(add(multiply(r, take_range(own, 1, 2 * size, 3 * size)), x_new))
    return add(multiply(subtract(h, n), z), n)
