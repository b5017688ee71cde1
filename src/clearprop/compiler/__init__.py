"""From a Python function to one that runs as a whole: trace, simplify, and then an executor.

    whole       one run of the function on symbols: arguments, cells and gradients that it reads are inputs, what it
                returns, and the cells and gradients that it changes, are outputs
    simplify    the same program with less in it
    function    `compile`: which program serves which call

A program is run by an executor; `executors` has them by name. The reference executor runs it node by node with NumPy.
"""

from clearprop.compiler.function import Compiled, compile

__all__ = ["Compiled", "compile"]
