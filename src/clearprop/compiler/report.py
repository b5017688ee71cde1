"""What a compiled function has been made into, as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from clearprop.compiler.entry import Entry
from clearprop.compiler.executors import Runner


def report(name: str, executor: str, traces: int, entries: Iterable[Entry]) -> str:
    """All programs of a function: what goes in and out, how long it took to make them, and their kernels."""
    lines = [f"{name}: executor {executor}, traced {traces} time{'s' * (traces != 1)}"]
    for entry in entries:
        lines += ["", *_about(entry)]
    return "\n".join(lines)


def _about(entry: Entry) -> Iterator[str]:
    whole = entry.whole
    arguments = ", ".join(map(str, whole.arguments)) or "nothing"
    yield (
        f"program of {arguments}: {len(whole.program.order)} nodes, {whole.program.flops():,} FLOP; "
        f"reads {_count(len(whole.read), 'cell')}, assigns {len(whole.assigned)}, "
        f"leaves {_count(len(whole.left), 'gradient')}"
    )
    described = {part: runner.describe() for part, runner in runners(entry)}
    yield f"  made in {1000 * sum(entry.seconds.values()):.1f} ms: {_times(entry.seconds)}"
    parts: dict[str, float] = {}
    for about in described.values():
        for stage, seconds in about.seconds.items():
            parts[stage] = parts.get(stage, 0.0) + seconds
    if parts:
        yield f"    of which {_times(parts)}"
    if not described:
        yield "  run operation by operation: it has rules or hooks of its own, or looks at gradients"
    for part, about in described.items():
        yield from (f"  {line}" for line in [*([part] if part else []), *str(about).splitlines()])


def runners(entry: Entry) -> list[tuple[str, Runner]]:
    """The programs of an entry, with a word on each where there are two."""
    if entry.runner is not None:
        return [("", entry.runner)]
    one_node = entry.differentiable
    return [] if one_node is None else [("forward pass", one_node.forward), ("backward pass", one_node.backward)]


def _times(stages: Mapping[str, float]) -> str:
    return ", ".join(f"{stage} {1000 * seconds:.1f}" for stage, seconds in stages.items())


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
