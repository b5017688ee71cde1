"""``clearprop cost EXPRESSION|SCRIPT``: what gradients take on a graph, by backpropagation and otherwise."""

from __future__ import annotations

import argparse
import json

from clearprop.cli import terminal
from clearprop.cli.command import Command
from clearprop.cli.explain import columns
from clearprop.cli.recorded import add_target, prepare, recorded

_DESCRIPTION = """\
Count the multiplications that the gradients take on the graph of an expression, or of the last step
of a script: by backpropagation, which keeps upstream gradients and grows with the depth; without
keeping them, which grows with its square; in forward mode; with explicit Jacobians, vector by matrix
and matrix by matrix. Count the bytes that the forward pass keeps, where, and what checkpoints would
free."""

_EXAMPLES = (
    'clearprop cost "tanh(w3 * tanh(w2 * tanh(w1 * x)))" w1=0.5 w2=1 w3=2 x=1',
    "clearprop cost train.py -- --epochs 1",
    "clearprop cost train.py --memory",
)


def _configure(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    parser.add_argument("--memory", action="store_true", help="show the memory too: by operation, line and module")
    parser.add_argument("--json", action="store_true", help="print the same as JSON, for other programs")
    parser.add_argument(
        "--width", type=columns, metavar="COLUMNS", help="columns to fit into (default: the terminal's)"
    )


def _run(options: argparse.Namespace) -> None:
    tape = recorded(options.target, options.arguments)
    cost, memory = tape.cost(), tape.memory()
    if options.json:
        terminal.print_plain(json.dumps({"cost": cost.as_dict(), "memory": memory.as_dict()}, indent=2))
    elif options.memory:
        terminal.show(lambda width: [*cost.lines(width), [], *memory.lines(width)], options.width)
    else:
        terminal.show(cost.lines, options.width)


COMMAND = Command("cost", "count what gradients cost, and what is kept for them", _DESCRIPTION, _EXAMPLES,
                  _configure, _run, prepare)  # fmt: skip
