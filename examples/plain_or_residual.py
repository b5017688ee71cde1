"""A plain network against a residual one of equal depth, on CIFAR-10: where gradients go, and what is learned.

After K. He et al. (2015), Deep Residual Learning for Image Recognition, figures 1 and 6; with a part of the images,
shrunk to 16×16 pixels, so that five networks take minutes. All are trained in one and the same way. At the first step
and after the last, the gradient of the loss by what each block gives on is measured, from the first block to the last.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import clearprop as cp
from clearprop import data, nn, optim, train
from clearprop.functional import avg_pool2d
from clearprop.models import ResNet
from clearprop.train import plots


@dataclass(frozen=True)
class Net:
    """One of the networks. Without batch normalization, the first weights are PyTorch's usual ones, ±1/√inputs."""

    depth: int
    residual: bool
    norm: bool = True

    def __str__(self) -> str:
        return f"{'residual' if self.residual else 'plain'} {self.depth}"

    def build(self) -> ResNet:
        """The network, with new weights."""
        cp.random.seed(0)
        model = ResNet(self.depth, (3, 16, 16), residual=self.residual, norm=self.norm)
        if not self.norm:
            for module in model.modules():
                if isinstance(module, nn.Conv2d):
                    module.reset_parameters()
        return model


NORMALIZED = (Net(56, residual=False), Net(56, residual=True), Net(20, residual=False))
BARE = (Net(56, residual=False, norm=False), Net(56, residual=True, norm=False))


def small_photographs(split: str, count: int) -> data.ArrayDataset:
    """Some images of CIFAR-10, each pixel the mean of four."""
    whole = data.cifar10(split)
    images, labels = whole[np.random.default_rng(0).permutation(len(whole))[:count]]
    return data.ArrayDataset(avg_pool2d(cp.asarray(images), 2).numpy(), labels)


def gradients(model: ResNet, images: cp.Tensor, labels: cp.Tensor) -> list[float]:
    """‖∂loss/∂y‖ for the output y of each block."""
    outputs: list[cp.Tensor] = []
    hooks = [block.register_forward_hook(lambda _, __, y: outputs.append(y)) for block in model.blocks]
    model.train()
    loss = nn.CrossEntropyLoss()(model(images), labels)
    for hook in hooks:
        hook.remove()
    for output in outputs:
        output.retain_grad()
    model.zero_grad()
    loss.backward()
    return [float(np.linalg.norm(output.grad.numpy())) for output in outputs]


def main() -> None:
    """Train, measure, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/examples/plain_or_residual"), metavar="FOLDER")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=5000)
    options = parser.parse_args()
    training, held_out = small_photographs("train", options.images), small_photographs("test", options.images // 5)
    probe = next(iter(data.DataLoader(training, 128)))
    before, after, histories = {}, {}, {}
    for net in (*NORMALIZED, *BARE):
        model = net.build()
        before[net] = gradients(model, *probe)
        optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
        batches = data.DataLoader(training, 128, shuffle=True, drop_last=True)
        name = f"{net}{'' if net.norm else ', no norm'}"
        histories[net] = train.fit(
            model,
            batches,
            loss=nn.CrossEntropyLoss(),
            optimizer=optimizer,
            epochs=options.epochs,
            validation=data.DataLoader(held_out, 500),
            metrics=["accuracy"],
            scheduler=optim.lr_scheduler.OneCycleLR(
                optimizer, 0.05, total_steps=options.epochs * len(batches), cycle_momentum=False
            ),
            schedule="step",
            history=train.History(name),
            health=False,
        )
        after[net] = gradients(model, *probe)
        last = histories[net].epochs[-1]
        print(
            f"{name:22} gradient at the first block / at the last: {before[net][0] / before[net][-1]:8.2g} before, "
            f"{after[net][0] / after[net][-1]:8.2g} after; loss {last['loss']:.3f}, "
            f"accuracy {last['accuracy']:.1%}, held out {last['val_accuracy']:.1%}",
            flush=True,
        )
    draw(options.output, before, after, histories)


def draw(folder: Path, before: dict, after: dict, histories: dict) -> None:
    """All of it in one picture."""
    rows = []
    for nets, condition in ((NORMALIZED, "with batch normalization"), (BARE, "without, small first weights")):
        panels = []
        for measured, when in ((before, "at the first step"), (after, "after training")):
            depths = np.linspace(0, 100, max(len(measured[net]) for net in nets))
            curves = {
                str(net): np.interp(depths, np.linspace(0, 100, len(measured[net])), measured[net]) for net in nets
            }
            words = "; ".join(f"{name}: from {y[0]:.2g} to {y[-1]:.2g}" for name, y in curves.items())
            title = f"Gradient by depth {when}, {condition}"
            panels.append(
                plots.lines(title, depths, curves, words=words, x_label="depth, in %", may_be_logarithmic=True)
            )
        losses = {str(net): histories[net].column("loss") for net in nets}
        epochs = np.arange(1, len(losses[str(nets[0])]) + 1)
        words = "; ".join(f"{name}: {y[0]:.2f} to {y[-1]:.2f}" for name, y in losses.items())
        panels.append(plots.lines(f"Training loss, {condition}", epochs, losses, words=words, x_label="epoch"))
        rows.append(panels)
    folder.mkdir(parents=True, exist_ok=True)
    path = plots.picture("Plain and residual networks", rows).save(folder / "plain_or_residual.html")
    print(f"\n{path}")


if __name__ == "__main__":
    main()
