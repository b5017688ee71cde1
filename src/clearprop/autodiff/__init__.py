"""Differentiation: the backward pass, transformations, custom rules, checkpointing, numerical checks.

Read `backward` first, then `batching` (how a batch hides in a tensor), `linearization` and `transforms` (everything
made from one recorded run), `vmapping`; then `custom`, `checkpoint`, `scan` and `check`. What `scan` is while a
function is traced, and how a loop is differentiated as a whole, comes last, after `clearprop.trace`: `traced_scan`,
`loop`, `loop_body`, `loop_backward`.
"""

from clearprop.autodiff.backward import enable_grad, no_grad
from clearprop.autodiff.check import check_gradients, difference_errors
from clearprop.autodiff.checkpoint import checkpoint
from clearprop.autodiff.custom import Function, custom_vjp
from clearprop.autodiff.scan import scan
from clearprop.autodiff.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from clearprop.autodiff.vmapping import vmap

__all__ = [
    "Function",
    "check_gradients",
    "difference_errors",
    "checkpoint",
    "custom_vjp",
    "enable_grad",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "no_grad",
    "scan",
    "value_and_grad",
    "vjp",
    "vmap",
]
