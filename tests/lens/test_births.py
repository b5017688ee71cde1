"""Where NaN comes from: ``birth_of_nan`` and ``why`` name the operation, the line, and the way from there."""

from __future__ import annotations

from tests.lens.places import line_of, normal

import clearprop as cp
import clearprop.functional as F  # noqa: N812


def test_sqrt_at_zero_behind_where() -> None:
    w = cp.Parameter([4.0, 0.0, 9.0], name="w")
    with cp.record() as tape:
        x = w * 1.0
        root = cp.sqrt(x)  # the root
        safe = cp.where(x > 0, root, 0.0)  # the choice
        safe.sum().backward()
    birth = tape.birth_of_nan()
    assert birth
    assert birth.row is tape["root"]
    assert birth.edge is not None
    assert birth.edge.input is tape["x"]
    assert (birth.index, birth.count) == ((1,), 1)
    assert "0 · inf = NaN" in birth.words
    assert f"where at {line_of('# the choice')}" in birth.words
    assert birth.where.startswith(line_of("# the root"))
    assert [row.label for row in birth.way] == ["root", "x", "w"]
    assert birth.parameters == [tape["w"]]
    cause = tape.why(w)
    assert (cause.kind, cause.row) == ("nan", tape["root"])
    assert "cp.where(x > 0, x, 1.0)" in cause.advice


def test_log_of_zero() -> None:
    logits = cp.Parameter([[200.0, -200.0]], name="logits")
    with cp.record() as tape:
        p = F.softmax(logits, dim=-1)
        logs = cp.log(p)  # of zero
        loss = -cp.sum(p * logs)
        loss.backward()
    birth = tape.birth_of_nan()
    assert birth.row is tape["logs"]
    assert birth.edge is None
    assert "the logarithm of zero is minus infinity" in birth.words
    assert birth.where.startswith(line_of("# of zero"))
    assert birth.way[0] is tape["logs"]
    assert birth.way[-1] is tape["loss"]
    assert tape.why(logits).row is tape["logs"]


def test_division_by_zero_in_a_normalization() -> None:
    w = cp.Parameter([2.0, 2.0, 2.0], name="w")
    with cp.record() as tape:
        centred = w - w.mean()
        z = centred / cp.sqrt((centred**2).mean())  # 0 / 0
        (z * normal(3)).sum().backward()
    birth = tape.birth_of_nan()
    assert birth.row is tape["z"]
    assert "0 / 0 has no value" in birth.words
    assert birth.where.startswith(line_of("# 0 / 0"))
    assert tape.why(w).row is tape["z"]


def test_nan_in_the_data_and_in_a_parameter() -> None:
    x, w = cp.tensor([1.0, float("nan")]), cp.Parameter([1.0, 2.0], name="w")
    with cp.record() as tape:
        (w * x).sum().backward()
    assert tape.birth_of_nan().words.startswith("x that goes into #2 = w · x is NaN at [1]")
    v = cp.Parameter([1.0, float("nan")], name="v")
    with cp.record() as tape:
        (v * 2.0).sum().backward()
    assert tape.birth_of_nan().words == "v itself is NaN at [1] when the run begins"


def test_nan_of_a_later_step_is_followed_back_through_the_update() -> None:
    w = cp.Parameter([0.0, 1.0], name="w")
    with cp.record() as tape:
        for _ in range(2):
            loss = cp.sqrt(w).sum()  # has no derivative at 0
            loss.backward()
            assert w.grad is not None
            w.assign(w.value - w.grad)
            w.grad = None
    birth = tape.birth_of_nan()
    assert birth.edge is not None
    assert birth.edge.row.primitive == "sqrt"
    assert "has no finite derivative" in birth.words


def test_infinity_that_leads_to_no_nan_is_no_birth() -> None:
    scores = cp.Parameter([1.0, 2.0, 3.0], name="scores")
    with cp.record() as tape:
        masked = cp.where(cp.tensor([True, True, False]), scores, -float("inf"))
        (F.softmax(masked, dim=-1) * cp.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert not tape.birth_of_nan()
    assert "no NaN" in str(tape.birth_of_nan())
    assert tape.why(scores).is_healthy
