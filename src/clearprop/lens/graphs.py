"""Graphs that nobody recorded: there are no values and no gradients, but all that the nodes themselves know."""

from __future__ import annotations

from collections.abc import Iterable

from clearprop import markup
from clearprop.errors import UsageError
from clearprop.graph import Graph
from clearprop.lens.drawing import Drawing, draw
from clearprop.lens.tape import Tape

_LISTED = 50


def draw_graph(graph: Graph, *, depth: int | None = None, unfold: str | Iterable[str] = ()) -> Drawing:
    """A picture of a graph, see `Tape.draw`; `Graph.draw` is this.

    Raises:
        UsageError: if the graph is empty, or no module of that path is in it.

    >>> import clearprop as cp
    >>> x = cp.tensor(2.0, requires_grad=True)
    >>> "x · x" in draw_graph(cp.Graph(x * x)).svg
    True
    """
    if not graph.nodes:
        raise UsageError("draw: the graph is empty", hint="cp.Graph(loss) of a tensor to which gradients flow")
    return draw(tape_of(graph), depth=depth, unfold=unfold)


def tape_of(graph: Graph) -> Tape:
    """A tape of the nodes of a graph, without values."""
    tape = Tape()
    for node in graph.nodes:
        unknown = [None] * len(node.parents)
        tape.add(("value", node, None) if node.is_leaf else ("forward", node, unknown, None, node.residuals))
    return tape


def graph_card(graph: Graph) -> str:
    """What a notebook shows of a graph: its picture, and below it the list of its nodes, folded up."""
    about = [f"{len(graph.nodes):,} nodes", f"{graph.residual_bytes():,} bytes kept"]
    if not graph.nodes:
        return markup.card("Graph", about)
    first = "\n".join(str(graph).splitlines()[1 : _LISTED + 1])
    more = f"\n… and {len(graph) - _LISTED:,} more: print(graph)" if len(graph) > _LISTED else ""
    nodes = f"<details><summary>Nodes</summary><pre>{markup.text(first + more)}</pre></details>"
    return markup.card("Graph", about, draw_graph(graph)._repr_html_(), nodes)
