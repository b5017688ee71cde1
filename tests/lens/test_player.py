"""The player's data against the tape, and the page that holds it."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.errors import FileError, UsageError
from clearprop.lens import Tape, explain_expression
from clearprop.lens.figures import figure
from clearprop.lens.player.nesting import MOST_VISIBLE, nested
from clearprop.lens.player.scenes import MOST_NODES, Scenes, scenes
from clearprop.lens.player.values import MOST_DRAWN, MOST_WRITTEN, summary


def lecture() -> Tape:
    """f = y * (x**2 + x) at x = 2, y = 1: x fans out."""
    return explain_expression("y * (x**2 + x)", {"x": 2, "y": 1}).tape


def trained(model: nn.Module, x: Any, y: Any) -> Tape:
    with cp.record() as tape:
        loss = cp.functional.cross_entropy(model(x), y)
        loss.backward()
    return tape


def mlp() -> Tape:
    cp.random.seed(0)
    x = cp.tensor(np.random.default_rng(0).normal(size=(5, 3)))
    return trained(
        nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).to(cp.float64), x, cp.tensor([0, 1, 0, 1, 1])
    )


def data(page: str) -> Any:
    """The data inside a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def text(play: Scenes, value: int | None) -> str:
    return "–" if value is None else play.values[value]["text"]


@pytest.mark.parametrize("record", [lecture, mlp])
def test_all_numbers_are_those_of_the_tape(record: Any) -> None:
    tape = record()
    play = scenes(tape)
    assert [node.label for node in play.nodes] == [row.label for row in tape.rows]
    for node, row in zip(play.nodes, tape.rows, strict=True):
        assert (text(play, node.value), text(play, node.gradient)) == (figure(row.value), figure(row.gradient))
    edges = [edge for visit in tape.visits for edge in visit.edges]
    for shown, edge in zip(play.edges, edges, strict=True):
        assert (play.nodes[shown.source].label, play.nodes[shown.target].label) == (edge.row.label, edge.input.label)
        for value, recorded in [
            (shown.upstream, edge.upstream),
            (shown.local, edge.local_derivative),
            (shown.contribution, edge.contribution),
        ]:
            assert text(play, value) == figure(recorded)


def test_the_steps_of_the_lecture_in_words() -> None:
    assert [step.words for step in scenes(lecture()).steps] == [
        "Given: x = 2, y = 1.",
        "q1 = x^2 = 2^2 = 4.",
        "q2 = q1 + x = 4 + 2 = 6.",
        "f = y · q2 = 1 · 6 = 6.",
        "The backward pass begins at f, with the upstream gradient ∂f/∂f = 1.",
        "Multiplication switches: upstream 1 times local derivative q2 = 6 gives contribution 6 to y.",
        "Multiplication switches: upstream 1 times local derivative y = 1 gives contribution 1 to q2.",
        "Addition distributes: upstream 1 times local derivative 1 gives contribution 1 to q1.",
        "Addition distributes: upstream 1 times local derivative 1 gives contribution 1 to x.",
        "q1 = x^2: upstream 1 times local derivative 2 · x = 4 gives contribution 4 to x.",
        "Fan-out adds: the contributions 1 and 4 to x make its gradient 5.",
        "The gradients are complete: by x 5, by y 6.",
    ]


def test_every_node_and_every_edge_has_its_step_once_and_contributions_are_summed_after_they_arrive() -> None:
    play = scenes(mlp())
    forward = [step.node for step in play.steps if step.kind == "forward"]
    assert forward == [i for i, node in enumerate(play.nodes) if node.inputs]
    assert [step.edges for step in play.steps if step.kind == "edge"] == [[i] for i in range(len(play.edges))]
    arrived: set[int] = set()
    for step in play.steps:
        if step.kind == "sum":
            assert arrived.issuperset(step.edges)
            assert {play.edges[edge].target for edge in step.edges} == {step.node}
        arrived |= set(step.edges)


def test_gradients_of_several_passes_add_up() -> None:
    x = cp.tensor(2.0, requires_grad=True)
    with cp.record() as tape:
        y = x * 3.0
        y.backward(retain_graph=True)
        y.backward()
    play = scenes(tape)
    (again,) = [step for step in play.steps if step.kind == "again"]
    assert again.words == "Gradients add up over 2 backward passes: with this one's 3, x has 6."
    assert text(play, again.value) == "6"


def test_gradients_that_were_asked_for_are_summed_too() -> None:
    with cp.record() as tape:
        cp.grad(lambda x: x * x)(cp.tensor(3.0))
    assert [text(scenes(tape), step.value) for step in scenes(tape).steps if step.kind == "sum"] == ["6"]


def test_without_a_backward_pass_the_values_are_played() -> None:
    x = cp.tensor(2.0, requires_grad=True)
    with cp.record() as tape:
        x * x
    assert [step.kind for step in scenes(tape).steps] == ["given", "forward", "end"]
    assert "no backward pass" in scenes(tape).steps[-1].words


def test_a_run_that_raised_is_played_up_to_the_error() -> None:
    x = cp.tensor(2.0, requires_grad=True)
    with pytest.raises(RuntimeError), cp.record() as tape:
        y = x * x
        raise RuntimeError(f"after {y.shape}")
    player = tape.player()
    assert player.error == "RuntimeError: after ()"
    assert player.scenes.steps[-1].words.endswith(player.error)
    assert [step.kind for step in player.scenes.steps] == ["given", "forward", "end"]


def test_an_empty_tape_and_one_that_is_too_long_are_errors() -> None:
    with cp.record() as tape:
        pass
    with pytest.raises(UsageError, match="nothing to play"):
        tape.player()
    y = cp.tensor(1.0, requires_grad=True)
    with cp.record() as tape:
        for _ in range(MOST_NODES):
            y = y * 1.0
    with pytest.raises(UsageError, match="more than the 4,000"):
        tape.player()


# Values --------------------------------------------------------------------------------------------------------------


def test_numbers_are_told_in_full() -> None:
    assert summary(np.float64(1 / 3)) == {"text": "0.333333", "full": "0.3333333333333333"}
    assert summary(np.float64(2.0)) == {"text": "2"}


@pytest.mark.parametrize(
    ("size", "how"),
    [(MOST_WRITTEN, "numbers"), (MOST_WRITTEN + 1, "heat"), (MOST_DRAWN, "heat"), (MOST_DRAWN + 1, "bars")],
)
def test_the_larger_an_array_the_less_of_it_is_told(size: int, how: str) -> None:
    told = summary(np.arange(float(size)))
    assert [key for key in ("numbers", "heat", "bars") if key in told] == [how]
    assert len(json.dumps(summary(np.arange(1e6)))) < 1000


def test_heat_is_in_parts_of_the_largest_magnitude() -> None:
    told = summary(np.array([[-2.0, 0.0, 1.0, np.nan] * 10]))
    levels = np.frombuffer(base64.b64decode(told["heat"]), np.int8)
    assert levels[:4].tolist() == [-127, 0, 64, -128]
    assert told["bad"] == 10


@pytest.mark.parametrize(
    "value",
    [
        np.array([]), np.zeros((0, 3)), np.array([np.nan] * 500), np.array([np.inf, -np.inf]), np.array([True, False]),
        np.full(500, 3.0), [np.zeros(2), np.ones(3)], {0: np.zeros(2)}, np.array(["a"]), np.arange(50, dtype=np.int8),
        np.array([1e308, -1e308] * 300),
    ],
    ids=str,
)  # fmt: skip
def test_any_value_can_be_told(value: Any) -> None:
    told = summary(value)
    json.dumps(told, allow_nan=False)
    assert told["text"] == figure(value)


# Groups --------------------------------------------------------------------------------------------------------------


def test_each_node_stands_in_one_group_and_edges_join_boxes_of_one_group() -> None:
    tape = mlp()
    groups = nested([row.node for row in tape.rows], tape.calls)
    nodes = [box["node"] for group in groups for box in group["boxes"] if "node" in box]
    assert sorted(nodes) == list(range(len(tape.rows)))
    assert [group["label"] for group in groups] == ["", "0", "2"]
    for i, group in enumerate(groups):
        assert group["parent"] < i
        assert sorted(item for rank in group["ranks"] for item in rank)[: len(group["boxes"])] == list(
            range(len(group["boxes"]))
        )
        assert all(
            chain[0] == a and chain[-1] == b for chain, (a, b) in zip(group["chains"], group["edges"], strict=True)
        )


def transformer(layers: int) -> Tape:
    cp.random.seed(0)
    rng = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Embedding(20, 8),
        nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), layers),
        nn.Flatten(),
        nn.Linear(8 * 4, 20),
    )
    return trained(model, cp.tensor(rng.integers(0, 20, (3, 4))), cp.tensor(rng.integers(0, 20, 3)))


def test_a_deep_network_is_folded_at_first_so_that_it_can_be_overlooked() -> None:
    tape = transformer(12)
    player = tape.player()
    groups = data(player.html)["groups"]
    visible = sum(len(group["boxes"]) for group in groups if group["open"])
    assert visible < 2 * MOST_VISIBLE
    assert len(tape) > 900
    assert not all(group["open"] for group in groups)
    assert len(player.html.encode()) < 5_000_000


# The page ------------------------------------------------------------------------------------------------------------


def test_the_page_loads_nothing_and_runs_its_own_script_only() -> None:
    page = lecture().player().html
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert not re.search(r"\s(on\w+|style)=", page.split("<script type")[0])


def test_what_the_user_wrote_is_never_markup() -> None:
    evil = "</script><!--<b>&\"'\u2028"
    x = cp.Parameter(2.0, name=evil)
    with pytest.raises(ValueError, match="img"), cp.record() as tape:
        y = x * x
        y.backward()
        raise ValueError("<img src=x>")
    player = tape.player(f"about {evil}")
    assert "<b>" not in player.html
    assert "<img" not in player.html
    assert player.html.count("</script>") == 2
    assert data(player.html)["nodes"][0]["label"] == evil
    assert "<b>" not in player._repr_html_()


def test_without_scripts_there_is_the_table() -> None:
    page = lecture().player().html
    assert "multiplication switches" in page.split("<noscript>")[1].split("</noscript>")[0]


def test_saving(tmp_path: Path) -> None:
    player = lecture().player("Lecture 3")
    player.save(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text("utf-8") == player.html
    assert "<title>Lecture 3</title>" in player.html
    with pytest.raises(FileError, match="cannot write"):
        player.save(tmp_path / "nowhere" / "a.html")


def test_in_notebooks_it_is_a_frame_that_may_run_scripts_and_nothing_else() -> None:
    frame = lecture().player()._repr_html_()
    assert frame.startswith("<iframe ")
    assert 'sandbox="allow-scripts"' in frame
    assert "<script" not in frame


# Cost ----------------------------------------------------------------------------------------------------------------


def test_the_source_is_asked_for_the_name_of_a_node_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("clearprop.lens.rows.assigned_name", lambda position: asked.append(position) or "")
    tape = mlp()
    tape.player()
    assert len(asked) <= len(tape)


def test_a_weight_with_many_users_takes_space_in_proportion() -> None:
    def size(uses: int) -> int:
        x = y = cp.tensor(1.0, requires_grad=True)
        with cp.record() as tape:
            for _ in range(uses):
                y = y * 0.5 + x
            y.backward()
        return len(tape.player().html)

    once, twice, thrice = size(100), size(200), size(300)
    assert thrice - twice < 1.2 * (twice - once)
