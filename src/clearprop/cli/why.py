"""``clearprop why train.py``: run a script, and say what is wrong with its gradients, and where."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from clearprop.cli import terminal
from clearprop.cli.command import Command
from clearprop.cli.recorded import add_arguments, behind
from clearprop.errors import UsageError
from clearprop.lens.findings import findings
from clearprop.lens.recent import RecentTape
from clearprop.lens.recorder import Recorder
from clearprop.lens.scripts import record_script

FOUND = 1
"""The exit code if something is wrong, as of a linter."""

_DESCRIPTION = """\
Run a training script as python would, watch its backpropagation, and say for each parameter what is
wrong with its gradient, with numbers and the source line, and what to try:

  none      detached, never used, frozen, or no backward pass came to it
  zero      dead ReLUs, factors of zero, a selection that never takes it
  tiny      saturated sigmoids, small weights: factor by factor
  huge      what multiplies it, and how often
  NaN       the first bad value in forward order, and how it was born
  growing   from step to step, as with a learning rate that is too large

The last steps are kept, and kept they are once a gradient is not finite; Ctrl-C ends the run and gives
the answer. Compiled functions run operation by operation meanwhile, so that everything is seen: expect
a run of a few times the usual length. What the script prints goes to stderr.

Exit codes: 0 nothing is wrong, 1 something is, or the script raised an error, 2 bad input."""

_EXAMPLES = (
    "clearprop why train.py",
    "clearprop why train.py --parameter fc1.weight -- --epochs 1",
    "clearprop why train.py --json",
)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", type=Path, help="a Python script that trains something")
    add_arguments(parser, "ARGUMENT", "arguments of the script, behind -- if they begin with -")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME", help="ask for this one alone; may be repeated"
    )
    parser.add_argument("--steps", type=_count, default=5, metavar="N", help="steps to keep (default: 5)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON, for other programs")


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of steps from 1 to 1000")
    return int(text)


def _run(options: argparse.Namespace) -> int:
    tape = RecentTape(options.steps)
    outcome = record_script(options.script, options.arguments, Recorder(tape))
    if outcome.error:
        terminal.complain(f"{options.script.name} ended with an error: {outcome.error}")
    if outcome.was_interrupted:
        terminal.complain(f"{options.script.name} was interrupted: this is about what was recorded until then")
    if not tape.rows and not tape.calls:
        raise UsageError(
            f"{options.script.name} computed nothing that gradients flow through",
            hint=f"python {options.script}" if outcome.error else "a script that trains a network, in its main thread",
        )
    if tape.is_shortened:
        terminal.complain("the steps are large: only the last values of them were kept")
    found = findings(tape, options.parameter)
    if options.json:
        terminal.print_plain(json.dumps({**found.as_dict(), "error": outcome.error}, indent=2))
    else:
        terminal.show(found.lines)
    return 0 if found.is_healthy and not outcome.error else FOUND


COMMAND = Command("why", "run a script, and say what is wrong with its gradients", _DESCRIPTION, _EXAMPLES,
                  _configure, _run, behind)  # fmt: skip
