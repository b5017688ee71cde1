"""What is wrong, in words: a cause with its layer and its numbers, and one thing to try.

Nothing is said on the strength of one sample alone, except of gradients that are not finite. The limits lie far from
what healthy networks do, so that a network without trouble hears nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clearprop.cell import Parameter
from clearprop.train.health.course import ENOUGH_EXAMPLES, Course, ratio
from clearprop.train.health.layers import Layer
from clearprop.train.health.watching import Activation, Sample

_MOST_UNITS_DEAD = 0.75
_FEWEST_EXAMPLES = 128
_MOST_SATURATED, _MOST_SATURATED_AT_FIRST = 0.9, 0.75  # a trained network may be as sure as that, a new one is not
_FIRST_SAMPLES = 5
_LEAST_SHARE = 1e-4  # of the gradient that arrives at the last layer, at any other
_LARGEST_FACTOR = 1e4  # of the same
_LARGEST_GRADIENT = 1e3  # of a layer by its weights, as a multiple of that of the last layer
_HUGE_GRADIENT = 1e6  # of a layer by its weights
_LARGEST_UPDATE = 0.5  # by the weights, in half of the layers
_SAMPLES_IN_A_ROW = 3
_MOST_NAMES = 4
_LARGE = "large updates"


class Advice(NamedTuple):
    """One thing to say.

    Attributes:
        key: by which it is known that it has been said.
        text: what is so, and what to try.
    """

    key: str
    text: str


@dataclass(frozen=True)
class Findings:
    """What there is to judge.

    Attributes:
        layers, activations: of the network.
        sample: the newest; of a network whose loss is finite.
        course: with this sample in it.
        never_reached: names of parameters to which no gradient has ever come.
    """

    layers: Sequence[Layer]
    activations: dict[str, Activation]
    sample: Sample
    course: Course
    never_reached: Sequence[str]


def advice(findings: Findings) -> list[Advice]:
    """All that there is to say; what has been said before included."""
    return [one for check in _CHECKS for one in check(findings)]


def facts(layers: Sequence[Layer], trained: set[Parameter]) -> list[Advice]:
    """What is so by intention, perhaps: frozen layers, and parameters that the optimizer does not have."""
    found = []
    frozen = [layer.label for layer in layers if layer.frozen]
    if frozen:
        found.append(Advice("frozen", f"frozen, with requires_grad=False, and not trained: {some(frozen)}"))
    left_out = [layer.label for layer in layers
                if not layer.frozen and not any(parameter in trained for parameter in layer.parameters)]  # fmt: skip
    if left_out:
        found.append(Advice("left out", f"the optimizer does not have the parameters of {some(left_out)}"))
    return found


def some(names: Sequence[str]) -> str:
    """A few names, and how many more there are.

    >>> some(["a", "b", "c", "d", "e", "f"])
    'a, b, c, d and 2 more'
    """
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _not_finite(findings: Findings) -> Iterator[Advice]:
    bad = [layer for layer in findings.layers if not math.isfinite(findings.sample.gradient.get(layer.name, 0.0))]
    if bad:
        last = bad[-1]
        value = "NaN" if math.isnan(findings.sample.gradient[last.name]) else "infinite"
        yield Advice(
            f"not finite {last.name}",
            f"the loss is {findings.sample.loss:.4g}, but the gradient of {last.label} is {value}, the first to be so "
            "on the way back. Try cp.record() around a step, and tape.birth_of_nan()",
        )


def _never_reached(findings: Findings) -> Iterator[Advice]:
    if findings.course.samples >= _SAMPLES_IN_A_ROW and findings.never_reached:
        names = some(findings.never_reached)
        yield Advice(
            f"never reached {names}",
            f"no gradient has ever come to {names}: the loss does not depend on it, or it is cut off by detach() or "
            "no_grad(). Try tape.why(parameter) after cp.record() around a step",
        )


def _dead(findings: Findings) -> Iterator[Advice]:
    course = findings.course
    for name in course.silent:
        share, seen = course.dead(name), min(course.seen[name], ENOUGH_EXAMPLES)
        is_so = share == 1.0 or (share >= _MOST_UNITS_DEAD and seen >= _FEWEST_EXAMPLES)
        if course.lasts(f"dead {name}", is_so) >= _SAMPLES_IN_A_ROW and name in findings.activations:
            yield Advice(
                f"dead {name}",
                f"{_percent(share)} of the units of {_place(findings, name)} gave 0 for all of the last {seen} "
                "examples looked at: no gradient comes through them. Try a smaller learning rate, or nn.LeakyReLU",
            )


def _saturated(findings: Findings) -> Iterator[Advice]:
    """One word for all places of a kind."""
    most = _MOST_SATURATED_AT_FIRST if findings.course.samples <= _FIRST_SAMPLES else _MOST_SATURATED
    lasting: dict[str, list[str]] = {}
    for name, share in findings.sample.flat.items():
        kind = findings.activations[name].kind
        if kind != "relu" and findings.course.lasts(f"saturated {name}", share >= most) >= _SAMPLES_IN_A_ROW:
            lasting.setdefault(kind, []).append(name)
    for kind, names in lasting.items():
        shares = [findings.sample.flat[name] for name in names]
        places = some([_place(findings, name) for name in names])
        factor = math.prod(findings.sample.factor.get(name, 1.0) for name in names)
        low, high = _percent(min(shares)), _percent(max(shares))
        yield Advice(
            f"saturated {kind}",
            f"{low if low == high else f'{low} to {high}'} of the outputs of {places} lie where {kind} is flat: the "
            f"gradient is multiplied by {_figure(factor)} there. Try smaller first weights, or a normalization before "
            "it",
        )


def _vanishing(findings: Findings) -> Iterator[Advice]:
    arrived = _arrived(findings)
    if len(arrived) < 2:
        return
    last = arrived[-1]
    first = min(arrived, key=lambda one: one[1])
    share = ratio(first[1], last[1])
    is_so = 0.0 < share < _LEAST_SHARE and not any(findings.course.dead(name) > _MOST_UNITS_DEAD
                                                   for name in findings.course.silent)  # fmt: skip
    if findings.course.lasts("vanishing", is_so) >= _SAMPLES_IN_A_ROW:
        yield Advice(
            "vanishing",
            f"gradients vanish on the way back: what arrives at {first[0].label} is {share:.1e} of what arrives at "
            f"{last[0].label}{_smallest_factors(findings)}. Try nn.ReLU, residual connections or a normalization",
        )


def _exploding(findings: Findings) -> Iterator[Advice]:
    arrived = _arrived(findings)
    is_so = False
    text = ""
    if len(arrived) > 1:
        first, last = max(arrived, key=lambda one: one[1]), arrived[-1]
        times = ratio(first[1], last[1])
        is_so = times > _LARGEST_FACTOR
        text = f"what arrives at {first[0].label} is {times:.1e} times what arrives at {last[0].label}"
    sizes = [(layer, ratio(findings.sample.gradient[layer.name], findings.sample.weight[layer.name]))
             for layer in findings.layers if layer.has_matrix and layer.name in findings.sample.gradient]  # fmt: skip
    if len(sizes) > 1 and not is_so:
        (worst, large), (last_layer, usual) = max(sizes, key=lambda one: one[1]), sizes[-1]
        if worst is last_layer:  # what comes into it is large already
            worst, large = next((one for one in sizes if one[1] > _HUGE_GRADIENT), sizes[-1])
        is_so = large > _HUGE_GRADIENT or (large >= 1.0 and usual > 0 and large / usual > _LARGEST_GRADIENT)
        text = f"the gradient of {worst.label} is {_figure(large)} times its weights"
        text += f", that of {last_layer.label} {_figure(usual)} times" if worst is not last_layer else ""
    lasted = findings.course.lasts("exploding", is_so)
    from_the_beginning = lasted == findings.course.samples  # and no update has made it so
    if lasted and (from_the_beginning or (lasted >= _SAMPLES_IN_A_ROW and not _is_overshooting(findings.course))):
        hint = "clip_grad_norm=1.0, and smaller or orthogonal first weights"
        yield Advice("exploding", f"gradients explode on the way back: {text}. Try {hint}")


def _large_updates(findings: Findings) -> Iterator[Advice]:
    sample, course = findings.sample, findings.course
    sizes = [(layer, ratio(sample.update[layer.name], sample.weight[layer.name]))
             for layer in findings.layers if layer.has_matrix and layer.name in sample.update]  # fmt: skip
    large = [one for one in sizes if one[1] >= _LARGEST_UPDATE]
    course.streaks[_LARGE] = course.streaks.get(_LARGE, 0) + (2 * len(large) >= len(sizes) > 0)
    first, now = course.losses
    exploded = course.streaks.get("exploding", 0) == course.samples
    if _is_overshooting(course) and course.samples >= _SAMPLES_IN_A_ROW and not now < first and not exploded:
        layer, size = max(large or sizes, key=lambda one: one[1])
        yield Advice(
            _LARGE,
            f"the learning rate is too large: steps have changed most layers by half of their weights and more, the "
            f"last one {layer.label} by {_figure(size)} times, and the loss went from {_figure(first)} to "
            f"{_figure(now)}. Try a tenth of it",
        )


def _zero(findings: Findings) -> Iterator[Advice]:
    course, sample = findings.course, findings.sample
    zero = [layer for layer in findings.layers if sample.gradient.get(layer.name) == 0.0]
    others = any(sample.gradient.values())
    lasting = [layer for layer in zero if course.lasts(f"zero {layer.name}", others) >= _SAMPLES_IN_A_ROW]
    for layer in findings.layers:
        if layer not in zero:
            course.lasts(f"zero {layer.name}", False)
    if lasting and not any(course.dead(name) >= _MOST_UNITS_DEAD for name in course.silent):
        names = some([layer.label for layer in lasting])
        silent = [name for name in course.silent if sample.flat.get(name) == 1.0]
        cause = f"all outputs of {_place(findings, silent[-1])} are 0" if silent else "something behind it is flat"
        yield Advice(
            f"zero {names}",
            f"the gradient of {names} is 0 in every element: {cause}. Try a smaller learning rate or smaller first "
            "weights; tape.why(parameter) after cp.record() around a step",
        )


def _is_overshooting(course: Course) -> bool:
    """Whether updates have been large more than once."""
    return course.streaks.get(_LARGE, 0) >= 2


_CHECKS: Sequence[Callable[[Findings], Iterator[Advice]]] = (
    _not_finite, _never_reached, _dead, _zero, _saturated, _vanishing, _exploding, _large_updates,
)  # fmt: skip


def _arrived(findings: Findings) -> list[tuple[Layer, float]]:
    """The layers with the norm of the gradient that arrives at their outputs, from input to output."""
    upstream = findings.sample.upstream
    return [(layer, upstream[layer.name]) for layer in findings.layers if layer.name in upstream and layer.has_matrix]


def _smallest_factors(findings: Findings) -> str:
    """What the activations that shrink the gradient most multiply it by."""
    kinds: dict[str, list[float]] = {}
    for name, factor in findings.sample.factor.items():
        kinds.setdefault(findings.activations[name].kind, []).append(factor)
    if not kinds:
        return ""
    kind, factors = min(kinds.items(), key=lambda one: math.prod(one[1]))
    count = f"the {len(factors)} times {kind}" if len(factors) > 1 else f"the {kind}"
    low, high = _figure(min(factors)), _figure(max(factors))
    return f"; {count} on the way multiplies it by {low if low == high else f'{low} to {high}'}"


def _place(findings: Findings, name: str) -> str:
    one = findings.activations[name]
    labels = {layer.name: layer.label for layer in findings.layers}
    kind = "" if name.startswith(one.kind) else f" ({one.kind})"
    is_said = name == f"{one.kind} after {one.feeder}"
    return f"{name}{kind}" + (f" after {labels[one.feeder]}" if one.feeder and not is_said else "")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _figure(value: float) -> str:
    return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}" if abs(value) < 1e4 else f"{value:.1e}"
