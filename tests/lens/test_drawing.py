"""Pictures: every number of a small graph is there, large graphs are folded, wires meet, all text is escaped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.lens import Tape
from clearprop.lens.drawing.frames import Box, Frame, Picture
from clearprop.lens.modules import Group, tree

SVG = "{http://www.w3.org/2000/svg}"


def leaves(*values: object) -> list[cp.Tensor]:
    return [cp.tensor(value, dtype=cp.float64, requires_grad=True) for value in values]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


def rectangles(svg: str, kind: str) -> int:
    return sum(kind in element.get("class", "").split() for element in ET.fromstring(svg).iter(f"{SVG}rect"))


def wires(svg: str) -> list[str]:
    """The looks of all wires; those of the legend end with h34."""
    paths = ET.fromstring(svg).iter(f"{SVG}path")
    return [element.get("class", "").split()[1] for element in paths if not element.get("d", "").endswith("h34")]


def lecture() -> Tape:
    x, y, z = leaves(-2.0, 5.0, -4.0)
    with cp.record() as tape:
        q = x + y
        f = q * z
        f.backward()
    return tape


def transformer(layers: int = 12) -> Tape:
    cp.random.seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True), layers)
    x, target = np.random.default_rng(0).normal(size=(2, 2, 5, 64)).astype(np.float32)
    with cp.record() as tape:
        loss = cp.mean(cp.square(model(cp.asarray(x)) - cp.asarray(target)))
        loss.backward()
    return tape


@pytest.fixture(scope="module")
def encoder() -> Tape:
    return transformer()


def test_a_small_graph_shows_every_number_of_the_tape() -> None:
    found = texts(lecture().draw().svg)
    for text in ("x", "-2", "q = x + y", "3", "f = q · z", "-12", "gradient 1", "gradient -4", "gradient 3"):
        assert text in found
    for text in ("× z = -4", "× q = 3", "× 1", "-4"):  # at the edges: local derivatives and contributions
        assert text in found
    assert "addition distributes" in found
    assert "multiplication switches" in found


def test_boxes_and_wires_of_a_small_graph() -> None:
    svg = lecture().draw().svg
    assert (rectangles(svg, "leaf"), rectangles(svg, "node"), rectangles(svg, "frame")) == (3, 2, 0)
    assert len(wires(svg)) == 4


def test_an_input_that_is_used_twice_has_two_wires_and_adds() -> None:
    (x,) = leaves(3.0)
    with cp.record() as tape:
        y = x * x
        y.backward()
    assert len(wires(tape.draw().svg)) == 2
    assert "fan-out adds" in texts(tape.draw().svg)


def test_maximum_selects() -> None:
    x, y = leaves(1.0, 2.0)
    with cp.record() as tape:
        cp.maximum(x, y).backward()
    assert "maximum selects" in texts(tape.draw().svg)


def test_shapes_stand_at_the_wires() -> None:
    (w,) = leaves(np.ones((3, 2)))
    with cp.record() as tape:
        h = cp.ones((5, 3), dtype=cp.float64) @ w
        h.sum().backward()
    assert {"3×2", "5×2"} <= set(texts(tape.draw().svg))


def test_wires_are_as_wide_as_the_gradient_is_large() -> None:
    a, b, c = leaves(1.0, 1.0, 1.0)
    with cp.record() as tape:
        y = a * 1000.0 + b + c * 0.0
        y.backward()
    drawing = tape.draw()
    assert set(wires(drawing.svg)) == {"g4", "g1", "gzero"}
    assert {"100 … 1000", "0.1 … 1", "exactly zero"} <= set(texts(drawing.svg))


def test_a_gradient_that_is_nan_is_marked() -> None:
    (x,) = leaves(0.0)
    with cp.record() as tape:
        y = cp.sqrt(x) * 0.0
        y.backward()
    drawing = tape.draw()
    assert "gbad" in wires(drawing.svg)
    assert "NaN or infinite" in texts(drawing.svg)


def test_without_a_backward_pass_there_is_no_legend() -> None:
    (x,) = leaves(2.0)
    with cp.record() as tape:
        cp.exp(x)
    svg = tape.draw().svg
    assert set(wires(svg)) == {"gplain"}
    assert not any("gradient" in text for text in texts(svg))


def test_a_run_that_ended_with_an_error_shows_what_came_before() -> None:
    (x,) = leaves(np.ones((2, 3)))
    with pytest.raises(cp.ShapeError), cp.record() as tape:
        h = cp.exp(x)
        h @ h
    assert {"x", "h = e^x", "2×3"} <= set(texts(tape.draw().svg))


# Large graphs --------------------------------------------------------------------------------------------------------


def test_a_transformer_is_folded(encoder: Tape) -> None:
    drawing = encoder.draw()
    assert drawing.nodes > 1_000
    assert rectangles(drawing.svg, "group") == 12
    assert rectangles(drawing.svg, "box") < 24
    assert len(drawing.svg) < 30_000
    assert {"layers.11", "TransformerEncoderLayer", "2×5×64"} <= set(texts(drawing.svg))
    width = float(ET.fromstring(drawing.svg).get("width", ""))
    assert width < 390  # fits a telephone as it is


def test_a_layer_unfolds(encoder: Tape) -> None:
    drawing = encoder.draw(unfold="layers.3.self_attn")
    assert rectangles(drawing.svg, "frame") == 2
    assert rectangles(drawing.svg, "group") == 11 + 5  # the other layers; norms, linear1, linear2, out_proj
    assert "in_proj_weight" in " ".join(texts(drawing.svg))


def test_depth(encoder: Tape) -> None:
    assert rectangles(encoder.draw(depth=1).svg, "frame") == 0
    assert rectangles(encoder.draw(depth=2).svg, "frame") == 12
    everything = encoder.draw(depth=9)
    assert rectangles(everything.svg, "group") == 0
    assert rectangles(everything.svg, "box") == everything.nodes


def test_a_module_that_did_not_run(encoder: Tape) -> None:
    with pytest.raises(cp.UsageError, match=r"no module 'layers\.3\.self_atn' ran") as raised:
        encoder.draw(unfold="layers.3.self_atn")
    assert "layers.3.self_attn" in str(raised.value)


def test_depth_zero(encoder: Tape) -> None:
    with pytest.raises(cp.UsageError, match="depth is 0"):
        encoder.draw(depth=0)


def test_an_empty_tape() -> None:
    with cp.record() as tape:
        pass
    with pytest.raises(cp.UsageError, match="nothing on the tape"):
        tape.draw()


def frames(frame: Frame) -> Iterator[Frame]:
    yield frame
    for _, item in frame.items:
        if isinstance(item, Frame):
            yield from frames(item)


@pytest.mark.parametrize("depth", [1, 2, 3, 9])
def test_wires_go_on_where_they_cross_the_border_of_a_frame(depth: int) -> None:
    tape = transformer(2)
    rows = {row.node: row for row in tape.rows}

    def is_open(group: Group) -> bool:
        return len(list(group.outwards())) <= depth

    picture = Picture(rows, is_open, in_full=False).frame(tree(rows, tape.calls))
    for frame in frames(picture):
        for wire in frame.wires:
            start, end = wire.route[0], wire.route[-1]
            if start.y == 0.0:  # it comes from outside
                assert start.x == pytest.approx(frame.entering[wire.source], abs=0.11)
            if end.y == frame.size[1] and wire.source in frame.leaving:
                assert end.x == pytest.approx(frame.leaving[wire.source], abs=0.11)
        for corner, item in frame.items:
            ends = {round(wire.route[-1].x, 1) for wire in frame.wires if wire.route[-1].y == corner.y}
            if isinstance(item, Frame):
                for x in item.entering.values():
                    assert any(abs(corner.x + x - end) < 0.25 for end in ends)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_items_lie_inside_their_frame_and_apart(depth: int) -> None:
    tape = transformer(2)
    rows = {row.node: row for row in tape.rows}
    opened = {group for group in tree(rows, tape.calls).groups() if len(list(group.outwards())) <= depth}
    (root,) = (group for group in opened if group.parent is None)
    for frame in frames(Picture(rows, opened.__contains__, in_full=False).frame(root)):
        places = [(corner.x, corner.y, *item.size) for corner, item in frame.items]
        for i, (x, y, width, height) in enumerate(places):
            assert x >= 0
            assert y >= 0
            assert x + width <= frame.size[0] + 0.3
            assert y + height <= frame.size[1] + 0.3
            for other in places[:i]:
                beside = x + width <= other[0] or other[0] + other[2] <= x
                assert beside or y + height <= other[1] or other[1] + other[3] <= y


def test_labels_at_edges_have_room() -> None:
    rows = {row.node: row for row in lecture().rows}
    frame = Picture(rows, lambda group: True, in_full=True).frame(tree(rows))
    for _, box in frame.items:
        assert isinstance(box, Box)
        slots = [wire for wire in frame.wires if wire.labels and any(e.row.node is box.member for e in wire.edges)]
        assert len(slots) * 9 * 6.7 <= box.width or not slots


# A graph alone -------------------------------------------------------------------------------------------------------


def test_a_graph_draws_itself() -> None:
    x, y = leaves(2.0, 3.0)
    svg = cp.Graph(x * y + x).draw().svg
    assert (rectangles(svg, "leaf"), rectangles(svg, "node")) == (2, 2)
    assert "#3 = #1 · #2" in texts(svg)


def test_a_large_graph_is_folded_by_path() -> None:
    model = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.Tanh()) for _ in range(10)))
    svg = cp.Graph(model(cp.ones((2, 4))).sum()).draw().svg
    assert rectangles(svg, "group") + rectangles(svg, "frame") >= 10


def test_an_empty_graph() -> None:
    with pytest.raises(cp.UsageError, match="the graph is empty"):
        cp.Graph(cp.tensor(1.0)).draw()


# As a document -------------------------------------------------------------------------------------------------------


def test_it_is_an_image_with_a_title_and_words() -> None:
    root = ET.fromstring(lecture().draw().svg)
    assert root.get("role") == "img"
    labelled = root.get("aria-labelledby", "").split()
    assert [element.get("id") for element in root[:2]] == labelled
    assert root.findtext(f"{SVG}title") == "Graph of f: 5 nodes"
    assert root.findtext(f"{SVG}desc") == "x; y; z; q = x + y; f = q · z."


def test_light_and_dark_and_nothing_from_elsewhere() -> None:
    svg = lecture().draw().svg
    assert "prefers-color-scheme:dark" in svg
    assert "<script" not in svg
    assert not re.search(r"(?:href|src|url\()\s*=?", svg)


def test_text_of_the_user_is_escaped() -> None:
    w = cp.Parameter(2.0, name='<script>alert("1")</script>&')
    with cp.record() as tape:
        (w * w).backward()
    svg = tape.draw().svg
    assert "<script" not in svg
    assert ET.fromstring(svg) is not None
    assert any(text.startswith('<script>alert("1")') for text in texts(svg))


def test_control_characters_do_not_break_the_document() -> None:
    w = cp.Parameter(2.0, name="a\x00b\x1b[31m")
    with cp.record() as tape:
        (w * 2.0).backward()
    ET.fromstring(tape.draw().svg)


def test_the_same_run_gives_the_same_picture() -> None:
    tape = lecture()
    assert tape.draw().svg == tape.draw().svg


def test_huge_tensors_are_summarised() -> None:
    x = cp.tensor(np.zeros(1_000_000, np.float32), requires_grad=True)
    with cp.record() as tape:
        cp.sum(x * 2.0).backward()
    assert len(tape.draw().svg) < 10_000


def test_saving(tmp_path: Path) -> None:
    drawing = lecture().draw()
    assert drawing.save(tmp_path / "f.svg").read_text("utf-8") == drawing.svg
    page = drawing.save(str(tmp_path / "f.html")).read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert drawing.svg in page
    with pytest.raises(cp.UsageError, match=r"f\.png"):
        drawing.save(tmp_path / "f.png")
    with pytest.raises(cp.FileError, match="folder does not exist"):
        drawing.save(tmp_path / "nowhere" / "f.svg")


# All kinds of runs ---------------------------------------------------------------------------------------------------


def gradient_of_a_gradient() -> None:
    (x,) = leaves(2.0)
    (x * x * x).backward(create_graph=True)
    assert x.grad is not None
    (x.grad * x.grad).backward()


def inside_grad() -> None:
    cp.grad(lambda x: cp.sum(cp.sin(x) * x))(cp.tensor([1.0, 2.0]))


def inside_vmap() -> None:
    cp.vmap(lambda x: cp.sum(x * x))(cp.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)).sum().backward()


def scanned() -> None:
    w = cp.Parameter(0.5, name="w")
    cp.scan(lambda c, x: (cp.tanh(w * c + x), c), cp.tensor(0.0), cp.ones((6,)))[0].backward()


def checkpointed() -> None:
    w = cp.Parameter([0.5, 1.0], name="w")
    cp.sum(cp.checkpoint(lambda x: cp.tanh(x) * x)(w)).backward()


def several_outputs() -> None:
    (x,) = leaves(np.diag([1.0, 2.0, 3.0]))
    first, *others = cp.unstack(x)
    (first * others[-1]).sum().backward()


def convolutional() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3)
    )
    cp.functional.cross_entropy(model(cp.ones((2, 1, 8, 8))), cp.asarray([1, 2])).backward()


def bidirectional() -> None:
    nn.LSTM(3, 4, 2, bidirectional=True)(cp.ones((5, 2, 3)))[0].sum().backward()


def without_elements() -> None:
    (x,) = leaves(np.zeros((0, 3)))
    (x * 2.0).sum().backward()


def a_leaf_alone() -> None:
    leaves(1.0)[0].backward()


def overflowing() -> None:
    (x,) = leaves(1e200)
    (x * 1e200).backward(cp.tensor(1e200, dtype=cp.float64))


@pytest.mark.parametrize(
    "run",
    [
        gradient_of_a_gradient,
        inside_grad,
        inside_vmap,
        scanned,
        checkpointed,
        several_outputs,
        convolutional,
        bidirectional,
        without_elements,
        a_leaf_alone,
        overflowing,
    ],
)
def test_all_kinds_of_runs(run: Callable[[], None]) -> None:
    with cp.record() as tape:
        run()
    for depth in (None, 1, 20):
        drawing = tape.draw(depth=depth)
        root = ET.fromstring(drawing.svg)
        assert rectangles(drawing.svg, "box") > 0
        for path in root.iter(f"{SVG}path"):
            assert re.fullmatch(r"[MVCh0-9.\- ]+", path.get("d", ""))
