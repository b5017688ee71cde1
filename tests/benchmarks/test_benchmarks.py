"""The benchmarks: shrunken, with clearprop alone, so that they keep working where nothing else is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import clearprop as cp
from clearprop import optim
from clearprop.compiler.native.program import NativeProgram
from clearprop.compiler.simplify import simplify
from clearprop.compiler.whole import Whole
from clearprop.primitive import spec_of

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FOLDER)


@pytest.fixture
def table() -> ModuleType:
    return import_module("summary_table")


def run(folder: Path, *rows: str) -> tuple[str, dict]:
    """The table and the record of a run that only shows whether everything works."""
    pytest.importorskip("llvmlite")
    quick = ["--small", "--rounds", "1", "--seconds", "0.01", "--threads", "1"]
    options = [*quick, "--only", "clearprop", "clearprop-eager", "--save", str(folder)]
    command = [sys.executable, str(FOLDER / "run.py"), *rows, *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads(next(folder.glob("*.json")).read_text())


def test_a_quick_run(tmp_path):
    text, record = run(tmp_path, "tiny-mlp", "word2vec", "mlp-eager")
    assert [row["workload"] for row in record["rows"]] == ["tiny-mlp", "word2vec", "mlp-eager"]
    for row in record["rows"]:
        assert row["limit_seconds"] > 0
        for result in row["results"]:
            assert result["rounds"][0] > 0
            assert result["peak_bytes"] > 10e6
            assert result["first_step"] > result["compile"] >= 0
            assert len(set(result["losses"])) == 3, "it does not train"
    assert text.count("µs") + text.count(" ms") >= 3
    assert "words/s" in text
    assert record["about"]["processor"] in text
    assert len(list(tmp_path.glob("*.svg"))) == len(list(tmp_path.glob("*.md"))) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_quick_run_of_everything(tmp_path):
    _, record = run(tmp_path)
    assert [row["workload"] for row in record["rows"]] == list(import_module("workloads").WORKLOADS)


def test_a_row_that_is_not_there():
    done = subprocess.run([sys.executable, str(FOLDER / "run.py"), "mpl"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no workload 'mpl'; there are: tiny-mlp, mlp" in done.stderr


@pytest.mark.parametrize("name", ["mlp", "wide-mlp", "chain-10", "cnn", "resnet", "bert"])
def test_the_work_by_formula_is_that_of_the_network(name):
    workloads, modules = import_module("workloads"), import_module("contestants.modules")
    workload = workloads.small(workloads.WORKLOADS[name])
    network = workload.network(cp)
    optimizer = optim.SGD(network.parameters(), lr=0.1)
    loss_of = partial(workload.module_loss, cp, network)
    step = modules.training_step(cp, workload, network, optimizer, loss_of)
    program = Whole(step, [(spec_of(cp.asarray(x)), False) for x in workload.data()]).program
    products = [node for node in program.order if node.name.startswith(("matmul", "convolution"))]
    counted = sum(
        node.primitive.flops(spec_of(node), *map(spec_of, node.parents), **node.attributes) for node in products
    )
    assert counted == workload.flops


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_the_work_that_is_left_is_that_of_the_compiled_step(name):
    """At full size, at which the compiler decides: convolutions by minimal filtering have 16 of 36 multiplications."""
    workload, modules = import_module("workloads").WORKLOADS[name], import_module("contestants.modules")
    filtered = import_module("workloads.base").filtered
    network = workload.network(cp)
    loss_of = partial(workload.module_loss, cp, network)
    step = modules.training_step(cp, workload, network, optim.SGD(network.parameters(), lr=0.1), loss_of)
    program = Whole(step, [(spec_of(cp.asarray(x)), False) for x in workload.data()]).program
    kernels = [
        kernel
        for kernel in NativeProgram(simplify(program)).describe().kernels
        if kernel.operations[0].startswith("convolution")
    ]
    left = sum(filtered(kernel.flops) if kernel.algorithm else kernel.flops for kernel in kernels)
    heads = workload.flops - sum(kernel.flops for kernel in kernels)
    assert left + heads == workload.fewer_flops < workload.flops


@pytest.mark.parametrize(
    "name", ["tiny-mlp", "cnn", "resnet", "lstm", "gru", "gpt", "bert", "seq2seq", "ntm", "word2vec", "chain-10"]
)
def test_each_network_takes_all_weights_and_no_others(name):
    workload = import_module("workloads").WORKLOADS[name]
    network = workload.network(cp)
    import_module("contestants.modules").check_names(workload, network)
    loaded = network.load_state_dict({**workload.weights(), **workload.buffers()}, strict=False, layout="torch")
    assert not loaded.unexpected_keys
    assert all(np.isfinite(array).all() for array in workload.weights().values())


@pytest.mark.parametrize("name", ["lstm", "gru", "gpt", "bert", "seq2seq", "ntm"])
def test_each_network_runs_whole_and_trains(name):
    workloads, contestant = import_module("workloads"), import_module("contestants.with_clearprop")
    workload = workloads.small(workloads.WORKLOADS[name])
    made = [contestant.make_step(workload, variant) for variant in ("compile", "")]
    losses = np.array([[float(step()) for _ in range(5)] for step in made])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert (np.diff(losses[0]) < 0).all()


def test_the_machine_that_copies_is_asked_for_what_it_was_given():
    workload = import_module("workloads").WORKLOADS["ntm"]
    inputs, bits = workload.data()
    assert inputs.shape == (41, 16, 9)
    np.testing.assert_array_equal(inputs[:20, :, :8], bits)
    assert (inputs[20, :, 8] == 1).all()
    assert inputs.sum() == bits.sum() + 16, "nothing else comes in"


def test_pairs_of_word2vec():
    """Each word has as many neighbours as its window lets it, and frequent words are frequent negatives."""
    workload = import_module("workloads").small(import_module("workloads").WORKLOADS["word2vec"])
    text = import_module("workloads.word2vec").zipf_text(workload.vocabulary, workload.text_length)
    words, others = workload.batches()()
    assert words.shape == (workload.pairs,) == (300,)
    assert others.shape == (300, 6)
    assert np.array_equal(words[np.r_[True, np.diff(words) != 0]][:3], text[5:8])
    following = workload.batches()
    drawn = np.concatenate([following()[1][:, 1:].ravel() for _ in range(20)])
    share = np.bincount(text, minlength=100) ** 0.75
    np.testing.assert_allclose(np.bincount(drawn, minlength=100) / drawn.size, share / share.sum(), atol=0.01)


def result(contestant: str, seconds: float, **others: object) -> object:
    made = import_module("contest").Result(contestant, rounds=[seconds] * 3, peak_bytes=1 << 20, **others)
    made.first_step = made.compile = 1.0
    return made


def test_the_ratio_is_that_of_the_best_peer(table):
    workload = import_module("workloads").WORKLOADS["mlp"]
    peers = [result("torch", 4e-3), result("jax", 3e-3), result("mlx", 1e-3, failure="stopped: of itself")]
    row = table.Row(
        workload, [result("clearprop", 2e-3), result("clearprop-eager", 1e-3), *peers], limit=1.5e-3, fewer=1.5e-3
    )
    assert row.ratio == 1.5
    text = table.summary([row])
    assert "| MLP | 2.00 ms | 1.00 ms | 4.00 ms | 3.00 ms | failed | 1.50 | 75 % | 1 MB (1 MB) |" in text
    assert "MLP: MLX failed: stopped: of itself." in text


def test_an_algorithm_that_needs_fewer_multiplications_may_pass_the_limit(table):
    row = table.Row(import_module("workloads").WORKLOADS["mlp"], [result("clearprop", 2e-3)], limit=3e-3, fewer=1e-3)
    text = table.summary([row])
    assert "| 150 % (50 %) |" in text
    assert "multiplications that our algorithms leave" in text


def test_a_row_without_peers_has_no_ratio(table):
    row = table.Row(import_module("workloads").WORKLOADS["tiny-mlp"], [result("clearprop", 2e-4)])
    assert "| tiny MLP | 200 µs |  |  | 1 MB | 1.00 s | 1.00 s |" in table.summary([row])


def test_other_work_is_found():
    contest = import_module("contest")
    losses = {"clearprop": [3.0, 2.0], "torch": [3.0001, 2.0001], "jax": [3.0, 2.1], "gensim": [np.nan, np.nan]}
    results = [contest.Result(name, losses=values) for name, values in losses.items()]
    contest.compare_losses(results)
    assert [r.failure for r in results if r.contestant != "jax"] == [""] * 3
    assert results[2].failure == "other work: in step 1 its loss is 2.1, and 2.0001 is usual"


def test_who_is_far_behind_takes_no_more_turns():
    contest = import_module("contest")
    results = [result("clearprop", 1.0), result("torch", 3.9), result("tinygrad", 4.1), result("mlx", 0.1, failure="x")]
    assert [r.contestant for r in contest.still_in(results, 2)] == ["clearprop", "torch", "tinygrad"]
    assert [r.contestant for r in contest.still_in(results, 3)] == ["clearprop", "torch"]


def test_the_chart_has_a_mark_for_each_peer(table):
    workloads = import_module("workloads").WORKLOADS
    rows = [
        table.Row(workloads[name], [result("clearprop", 1.0), result("torch", 2.0), result("jax", 0.25)])
        for name in ("mlp", "cnn")
    ]
    alone = table.Row(workloads["gpt"], [result("clearprop", 1.0)])
    drawn = import_module("chart").draw([*rows, alone], "a machine & more")
    titles = [title.text for title in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}title")]
    assert "CNN: PyTorch takes 2.00 times as long" in titles
    assert "MLP: JAX takes 0.25 times as long" in titles
    assert len(titles) == 4


def test_a_long_caption_of_a_chart_has_several_lines(table):
    caption = ", ".join(f"property {i}" for i in range(20))
    row = table.Row(import_module("workloads").WORKLOADS["mlp"], [result("clearprop", 1.0), result("torch", 2.0)])
    drawn = ElementTree.fromstring(import_module("chart").draw([row], caption))
    lines = [str(text.text) for text in drawn.iter("{http://www.w3.org/2000/svg}text") if "property" in str(text.text)]
    assert " ".join(lines) == caption
    assert max(map(len, lines)) <= 100
