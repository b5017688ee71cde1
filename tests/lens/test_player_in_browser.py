"""The player in a real browser: what is shown against the tape, at two widths, by mouse and by keys."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clearprop as cp
from clearprop import nn
from clearprop.lens import Tape, explain_expression
from clearprop.lens.figures import figure
from clearprop.lens.player.scenes import Scenes, scenes

pytestmark = pytest.mark.slow
WIDTHS = [(1280, 800), (390, 800)]
PLACES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium of this system."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra clearprop[browser]")
    path = os.environ.get("CLEARPROP_CHROMIUM") or next(filter(None, map(shutil.which, PLACES)), None)
    if path is None:
        pytest.skip("needs Chromium: install it, or name one in CLEARPROP_CHROMIUM")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the player of a tape; at the end, no page has complained or asked for anything but itself."""
    pages, complaints = [], list[str]()

    def open_(tape: Tape, size: tuple[int, int] = WIDTHS[0], **options: Any) -> Any:
        path = tmp_path / f"{len(pages)}.html"
        tape.player().save(path)
        options = {"reduced_motion": "reduce", **options}
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, **options)
        page.set_default_timeout(10_000)
        page.on("console", lambda told: complaints.append(told.text) if told.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on(
            "request",
            lambda asked: (
                None if asked.url in (path.as_uri(), "about:blank", "about:srcdoc") else complaints.append(asked.url)
            ),
        )
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.close()
    assert complaints == []


def lecture() -> Tape:
    return explain_expression("y * (x**2 + x)", {"x": 2, "y": 1}).tape


def network() -> Tape:
    cp.random.seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = cp.tensor(np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32))
    with cp.record() as tape:
        loss = cp.functional.cross_entropy(model(x), cp.tensor([0, 1, 0, 1, 1]))
        loss.backward()
    return tape


def transformer(layers: int) -> Tape:
    cp.random.seed(0)
    rng = np.random.default_rng(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    embed, encoder, head = nn.Embedding(20, 8), nn.TransformerEncoder(layer, layers), nn.Linear(8, 20)
    model = nn.Sequential(embed, encoder, head)
    with cp.record() as tape:
        logits = model(cp.tensor(rng.integers(0, 20, (3, 4)))).reshape((12, 20))
        loss = cp.functional.cross_entropy(logits, cp.tensor(rng.integers(0, 20, 12)))
        loss.backward()
    return tape


def typeset(text: str) -> str:
    """As the page writes numbers."""
    return text.replace("-", "−")


def told(page: Any) -> str:
    return str(page.inner_text("#words")).replace("−", "-")


def panel(page: Any) -> str:
    return str(page.inner_text("#step"))


def last(page: Any) -> int:
    return int(page.get_attribute("#scrub", "max"))


def until(page: Any, condition: str) -> None:
    """Wait for a condition; Playwright's own way to do so is what the page's policy forbids: eval."""
    for _ in range(200):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"{condition} did not come true")


def box(page: Any, number: int) -> str:
    return str(page.get_attribute(f"[data-key=n{number}]", "aria-label"))


def value(play: Scenes, number: int) -> str:
    return typeset(play.values[number]["text"])


@pytest.mark.parametrize("size", WIDTHS)
@pytest.mark.parametrize("record", [lecture, network])
def test_each_step_shows_the_numbers_of_the_tape(opened: Any, record: Any, size: tuple[int, int]) -> None:
    tape = record()
    play, page = scenes(tape), opened(tape, size)
    assert last(page) == len(play.steps) - 1
    for i, step in enumerate(play.steps):
        assert page.inner_text("#count") == f"{i} / {last(page)}"
        assert told(page) == " ".join(step.words.split())
        if step.kind in ("forward", "edge", "sum") and "shape" not in play.values[step.value or 0]:
            assert value(play, step.value or 0) in panel(page)
        if step.kind == "edge":
            assert page.locator(".pill.contribution").count() >= 1
        page.keyboard.press("ArrowRight")
    for i, row in enumerate(tape.rows):
        assert f"value {typeset(figure(row.value))}" in box(page, i)
        assert f"gradient {typeset(figure(row.gradient))}" in box(page, i)
    for i, step in reversed(list(enumerate(play.steps))):
        assert told(page) == " ".join(step.words.split()), i
        page.keyboard.press("ArrowLeft")
    assert "gradient" not in box(page, 0)


@pytest.mark.parametrize("size", WIDTHS)
def test_nothing_reaches_over_the_side(opened: Any, size: tuple[int, int]) -> None:
    page = opened(network(), size)
    for _ in range(last(page) + 1):
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.keyboard.press("ArrowRight")


def test_upstream_gradient_and_local_derivative_are_drawn_apart_and_their_product_too(opened: Any) -> None:
    page = opened(lecture())
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert [page.text_content(f".pill.{kind} text") for kind in ("upstream", "local", "contribution")] == [
        "1",
        "6",
        "6",
    ]
    assert page.inner_text(".pattern") == "multiplication switches"
    assert [page.inner_text(f".card.{kind} strong") for kind in ("upstream", "local", "contribution")] == [
        "1",
        "6",
        "6",
    ]
    assert page.locator("#step math").count() >= 3


def test_contributions_wait_at_the_node_until_they_are_summed(opened: Any) -> None:
    page = opened(lecture())
    page.evaluate(
        "document.getElementById('scrub').value = 9; document.getElementById('scrub').dispatchEvent(new Event('input'))"
    )
    assert sorted(page.locator(".pill.contribution").all_text_contents()) == ["1", "4"]
    assert "gradient" not in box(page, 0)
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".pattern") == "fan-out adds"
    assert box(page, 0).endswith("gradient 5")


def test_keys(opened: Any) -> None:
    page = opened(lecture(), reduced_motion="no-preference")
    page.keyboard.press("End")
    assert page.inner_text("#count") == "11 / 11"
    page.keyboard.press("Home")
    assert page.inner_text("#count") == "0 / 11"
    page.keyboard.press(" ")
    assert page.get_attribute("#play", "aria-pressed") == "true"
    until(page, "document.getElementById('count').textContent[0] !== '0'")
    page.keyboard.press(" ")
    assert page.get_attribute("#play", "aria-pressed") == "false"


def test_playing_comes_to_the_end_and_stops_with_all_numbers_in_place(opened: Any) -> None:
    page = opened(network(), reduced_motion="no-preference")
    page.select_option("#speed", "16")
    page.click("#play")
    until(page, "document.getElementById('scrub').value === document.getElementById('scrub').max")
    until(page, "document.getElementById('play').getAttribute('aria-pressed') === 'false'")
    for i, row in enumerate(network().rows):
        assert f"gradient {typeset(figure(row.gradient))}" in box(page, i)


def test_the_wheel_steps_and_with_ctrl_zooms(opened: Any) -> None:
    page = opened(lecture())
    page.mouse.move(200, 300)
    page.mouse.wheel(0, 130)
    until(page, "document.getElementById('count').textContent === '2 / 11'")
    before = page.evaluate("document.querySelector('.world').style.transform")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    until(page, f"document.querySelector('.world').style.transform !== {before!r}")
    assert page.inner_text("#count") == "2 / 11"


def test_going_to_a_node(opened: Any) -> None:
    page = opened(lecture())
    page.fill("#jump", "q2")
    page.press("#jump", "Enter")
    assert told(page).startswith("q2 = q1 + x")
    page.click("[data-key=n4]")
    assert told(page).startswith("f = y · q2")
    page.fill("#jump", "nonsense")
    page.press("#jump", "Enter")
    assert page.get_attribute("#jump", "aria-invalid") == "true"
    page.click("#turn")
    page.click("[data-key=n0]")
    assert told(page).startswith("Fan-out adds")


def test_modules_unfold_and_fold_where_they_are(opened: Any) -> None:
    tape = transformer(12)
    play, page = scenes(tape), opened(tape)
    folded = last(page)
    assert folded < 100 < len(play.steps)
    assert page.locator("[aria-expanded=false]").count() >= 12
    group = page.locator(".box", has_text="layers.3").first
    key = group.get_attribute("data-key")
    group.focus()
    page.keyboard.press("Enter")
    assert page.get_attribute(f"[data-key={key}]", "aria-expanded") == "true"
    assert page.evaluate("document.activeElement.dataset.key") == key
    unfolded = last(page)
    assert unfolded > folded
    page.keyboard.press("End")
    page.focus(f"[data-key={key}]")
    page.keyboard.press("Enter")
    assert last(page) == folded
    page.click("#folds")
    page.click("#folds")
    assert last(page) == len(play.steps) - 1
    page.keyboard.press("End")
    for i in range(0, len(tape.rows), 20):
        row = tape.rows[i]
        assert f"gradient {typeset(figure(row.gradient))}" in box(page, i)


def test_what_a_folded_module_hands_on_is_what_the_tape_says(opened: Any) -> None:
    tape = transformer(2)
    play, page = scenes(tape), opened(tape)
    page.click("#folds")
    arrived = set()
    for _ in range(last(page) + 1):
        for cells in page.locator(".list.gradients tbody tr").all():
            label, gradient = cells.locator("button").inner_text(), cells.locator("td").inner_text()
            (node,) = [node for node in play.nodes if node.label == label]
            assert gradient == value(play, node.gradient or 0)
            arrived.add(label)
        page.keyboard.press("ArrowRight")
    assert arrived == {row.label for row in tape.rows if row.is_leaf}


def test_a_deep_network_opens_quickly(opened: Any) -> None:
    page = opened(transformer(12))
    assert page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd") < 2000


def test_boxes_do_not_overlap_whatever_is_unfolded(opened: Any) -> None:
    page = opened(transformer(2))
    overlap = """() => {
      const boxes = [...document.querySelectorAll('.boxes .frame')].map((frame) => frame.getBoundingClientRect());
      return boxes.some((a, i) => boxes.some((b, j) => i < j &&
        a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1));
    }"""
    for _ in range(3):
        assert not page.evaluate(overlap)
        page.click("#folds")


def test_controls_have_names_and_the_first_tab_leads_to_them(opened: Any) -> None:
    page = opened(network())
    for name in ("To the beginning", "One step back", "Play", "One step forward", "To the end"):
        assert page.get_by_role("button", name=name, exact=True).count() == 1
    assert page.get_by_role("slider", name="Step").count() == 1
    assert page.get_by_role("status").count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the controls"
    for element in page.locator("button, .box").all():
        assert element.get_attribute("aria-label") or element.text_content().strip()


def test_the_focus_is_never_lost_from_the_panel(opened: Any) -> None:
    page = opened(transformer(2))
    page.click("#folds")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")  # into the encoder, after the one operation of the embedding
    page.get_by_role("button", name="Unfold this module").press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    page.keyboard.press("End")
    page.locator(".jump").first.press("Enter")
    assert page.evaluate("document.activeElement.className") == "panel"


def test_what_the_user_wrote_is_text(opened: Any) -> None:
    evil = "</script><img src=x onerror=alert(1)>&\"'"
    w = cp.Parameter(2.0, name=evil)
    with cp.record() as tape:
        y = w * w
        y.backward()
    page = opened(tape)
    page.keyboard.press("End")
    assert evil in panel(page)
    assert page.locator("img").count() == 0


def test_it_plays_inside_a_notebook_too(opened: Any) -> None:
    page = opened(lecture())
    page.goto("about:blank")  # the player's own policy would forbid the frame
    page.set_content(lecture().player()._repr_html_())
    frame = page.frame_locator("iframe")
    frame.locator("#last").click()
    assert frame.locator("#count").inner_text() == "11 / 11"


def test_without_scripts_the_table_is_read(opened: Any) -> None:
    page = opened(lecture(), java_script_enabled=False)
    assert "fan-out adds" in page.inner_text("noscript")
