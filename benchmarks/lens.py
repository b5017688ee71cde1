"""What seeing costs: recording, and watching compiled runs. Contestants take turns in one process.

python benchmarks/lens.py                # all figures, as a table
python benchmarks/lens.py --rounds 20
"""

from __future__ import annotations

import argparse
import sys
import timeit
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import clearprop as cp
from clearprop.graph import State, state
from contestants.modules import fed, training_step
from workloads import WORKLOADS

_SECONDS = 0.05
"""A round takes at least so long."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="rounds of each contestant (default: 9)")
    rounds = parser.parse_args().rounds
    print("| what | on | asked | measured |\n|---|---|---|---|")
    for what, where, asked, figure in (
        ("recording off", "tiny MLP, eager", "<= 1 %", f"{100 * recording_off():.2f} %"),
        ("recording on", "tiny MLP, eager", "<= 3 times", f"{recording_on(rounds):.2f} times"),
        *(
            (f"watched: {how}", WORKLOADS[name].title, "<= 10 %", f"{100 * (ratio - 1):.1f} %")
            for name in ("mlp", "cnn")
            for how, ratio in watched(name, rounds).items()
        ),
        *(
            ("Health", f"{WORKLOADS[name].title}, in fit", "<= 5 %", f"{100 * (health(name, rounds) - 1):.1f} %")
            for name in ("mlp", "cnn")
        ),
    ):
        print(f"| {what} | {where} | {asked} | {figure} |", flush=True)


# Contestants ----------------------------------------------------------------------------------------------------------


def ordinary_step(name: str) -> tuple[Any, Any, Callable[..., Any]]:
    """A network of the benchmarks, its workload, and a step of training."""
    workload = WORKLOADS[name]
    network = workload.network(cp)
    network.load_state_dict(workload.weights(), strict=False, layout="torch")
    optimizer = getattr(cp.optim, workload.training.optimizer)(network.parameters(), **workload.training.settings)
    step = training_step(cp, workload, network, optimizer, partial(workload.module_loss, cp, network))
    return workload, network, step


def recording_off() -> float:
    """The share of an eager step that is spent looking whether somebody records: looks times the time of one."""
    workload, _, step = ordinary_step("tiny-mlp")
    run = fed(workload, step, cp.asarray)
    run()
    looks = _looks(run)
    number = 1_000_000
    loop = min(timeit.repeat("pass", number=number, repeat=5))
    one = (
        min(timeit.repeat("state.observer is not None", globals={"state": state}, number=number, repeat=5)) - loop
    ) / number
    return looks * one / min(timeit.repeat(run, number=20, repeat=9)) * 20


def _looks(run: Callable[[], Any]) -> int:
    """How often a run asks for the observer."""
    count = 0

    class Counting(State):
        @property
        def observer(self) -> Any:  # type: ignore[override]
            nonlocal count
            count += 1
            return None

        @observer.setter
        def observer(self, value: Any) -> None:
            pass

    state.__class__ = Counting
    try:
        run()
    finally:
        state.__class__ = State
    return count


def recording_on(rounds: int) -> float:
    """Times the plain step."""
    workload, _, step = ordinary_step("tiny-mlp")
    run = fed(workload, step, cp.asarray)

    def recorded() -> None:
        with cp.record():
            run()

    plain, on = turns([run, recorded], rounds)
    return on / plain


def watched(name: str, rounds: int) -> dict[str, float]:
    """Times the plain compiled step, by what is watched."""
    contestants: list[Callable[[], Any]] = []
    _, network, _ = ordinary_step(name)
    first = next(iter(dict(network.named_parameters())))
    names = [key for key, _ in network.named_parameters()]
    kinds: dict[str, Callable[[Any], Any]] = {
        "nothing": lambda network: None,
        "a gradient": lambda network: [dict(network.named_parameters())[first]],
        "the norms of all gradients": lambda network: {dict(network.named_parameters())[key]: _norm for key in names},
    }
    for kind in kinds.values():
        workload, network, step = ordinary_step(name)
        contestants.append(fed(workload, cp.compile(step, watch=kind(network)), cp.asarray))
    plain, *others = turns(contestants, rounds)
    return {kind: seconds / plain for kind, seconds in zip(list(kinds)[1:], others, strict=True)}


_FIRST_STEP, _LAST_STEP = 100, 300
"""Of a run: by then everything is compiled, and Health looks as often as it does later."""


class _Clock(cp.train.Callback):
    """Notes when the steps that are measured begin and end."""

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0

    def on_step_end(self, run: Any) -> None:
        self.count += 1
        if self.count == _FIRST_STEP:
            self.seconds = -perf_counter()
        if self.count == _LAST_STEP:
            self.seconds += perf_counter()


def health(name: str, rounds: int) -> float:
    """Times the compiled steps of `fit` without it."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(max(3, rounds // 3)):
        for on in (True, False):
            times[on].append(_fitted(name, health=on))
    return median(times[True]) / median(times[False])


def _fitted(name: str, *, health: bool) -> float:
    workload, network, _ = ordinary_step(name)
    batch = workload.batches()()
    clock = _Clock()
    cp.train.fit(
        network, [batch] * _LAST_STEP,
        loss=cp.nn.CrossEntropyLoss(),
        optimizer=getattr(cp.optim, workload.training.optimizer)(network.parameters(), **workload.training.settings),
        epochs=1, callbacks=[clock], health=health, progress=False,
    )  # fmt: skip
    return clock.seconds


def _norm(g: Any) -> Any:
    return cp.sqrt(cp.sum(g * g))


def turns(contestants: list[Callable[[], Any]], rounds: int) -> list[float]:
    """Seconds of one run of each: medians of rounds in turn."""
    for run in contestants:
        for _ in range(3):
            run()
    counts = [max(1, round(_SECONDS / _timed(run, 3))) for run in contestants]
    times: list[list[float]] = [[] for _ in contestants]
    for _ in range(rounds):
        for i, run in enumerate(contestants):
            times[i].append(_timed(run, counts[i]))
    return [median(seconds) for seconds in times]


def _timed(run: Callable[[], Any], count: int) -> float:
    started = perf_counter()
    for _ in range(count):
        run()
    return (perf_counter() - started) / count


if __name__ == "__main__":
    sys.exit(main())
