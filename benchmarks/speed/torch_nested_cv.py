"""What a user would run instead: the NACHOS protocol as a sequential PyTorch loop.

Outer test folds x trials x inner validation folds, one training at a time, each with the
training data already in device memory (no loader to wait for), channels-last, SGD.
The baseline that the engine is compared with, in the same run, on the same machine.

    python -m benchmarks.speed.torch_nested_cv --data pneumoniamnist.npz --folds 5 --trials 8 --epochs 10

Prints one JSON line: fits, sample_epochs, seconds, sample_epochs_per_second, test accuracy
mean and standard error. With --steps-only N it times N training steps after a warm-up and
prints milliseconds a step instead.

Needs: torch, numpy. Data: an npz with images (N, H, W[, C]) uint8 and labels (N,), or a
MedMNIST npz (train_images, val_images, test_images, ..._labels).
"""

import argparse
import json
import time
from typing import Any

import numpy as np
import torch
from torch import nn


def load(path):
    """Images [N, H, W, C] uint8 and labels [N] of an npz file."""
    z = np.load(path, allow_pickle=False)
    if "train_images" in z:
        images = np.concatenate([z[f"{s}_images"] for s in ("train", "val", "test")])
        labels = np.concatenate([z[f"{s}_labels"] for s in ("train", "val", "test")])
    else:
        images, labels = z["images"], z["labels"]
    if images.ndim == 3:
        images = images[..., None]
    return images, labels.reshape(len(images), -1)[:, 0].astype(np.int64)


def conv_bn(i, o, k=3, s=1):
    """Convolution and batch norm."""
    return [nn.Conv2d(i, o, k, s, k // 2, bias=False), nn.BatchNorm2d(o)]


def cnn3(channels, classes, width):
    """Three stages of conv 3x3, batch norm, ReLU, max-pool 2; global average; linear."""
    layers, c = [], channels
    for m in (1, 2, 4):
        layers += [*conv_bn(c, width * m), nn.ReLU(), nn.MaxPool2d(2)]
        c = width * m
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes))


class BasicBlock(nn.Module):
    """Two convolutions and a shortcut (He et al. 2015)."""

    def __init__(self, i, o, s):
        super().__init__()
        self.body = nn.Sequential(*conv_bn(i, o, 3, s), nn.ReLU(), *conv_bn(o, o))
        self.skip = nn.Sequential(*conv_bn(i, o, 1, s)) if s > 1 or i != o else nn.Identity()

    def forward(self, x):
        """[B, C, H, W] -> [B, C', H', W']."""
        return torch.relu(self.body(x) + self.skip(x))


def resnet18(channels, classes, width):
    """ResNet-18 with a 3x3 stem, as is usual for 28 to 64 pixel images; width 64 is standard."""
    layers: list[nn.Module] = [*conv_bn(channels, width), nn.ReLU()]
    c = width
    for i, m in enumerate((1, 2, 4, 8)):
        for j in range(2):
            layers.append(BasicBlock(c, width * m, 2 if i and not j else 1))
            c = width * m
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes))


MODELS = {"cnn3": cnn3, "resnet18": resnet18}


def draw_trials(n, seed):
    """Random hyperparameters."""
    rng = np.random.default_rng(seed)
    return [
        dict(
            lr=float(10 ** rng.uniform(-4, -1)),
            momentum=float(rng.choice([0.5, 0.9, 0.99])),
            nesterov=bool(rng.integers(2)),
            weight_decay=float(10 ** rng.uniform(-6, -2)),
        )
        for _ in range(n)
    ]


class Run:
    """The data on the device, and what was spent."""

    def __init__(self, a, images, labels):
        self.a, self.dev = a, torch.device(a.device)
        x = torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255).to(self.dev)
        self.x = x.to(memory_format=torch.channels_last)
        self.y = torch.from_numpy(labels).to(self.dev)
        self.classes = int(labels.max()) + 1
        self.sample_epochs = self.fits = 0

    def model(self, hp, seed):
        """A fresh network and its optimiser."""
        torch.manual_seed(seed)
        net: Any = MODELS[self.a.model](self.x.shape[1], self.classes, self.a.width)
        net.to(self.dev)
        net.to(memory_format=torch.channels_last)
        opt = torch.optim.SGD(
            net.parameters(),
            lr=hp["lr"],
            momentum=hp["momentum"],
            nesterov=hp["nesterov"],
            weight_decay=hp["weight_decay"],
        )
        return net, opt

    def step(self, net, opt, idx):
        """One training step."""
        opt.zero_grad(set_to_none=True)
        with torch.autocast(self.dev.type, torch.bfloat16, enabled=self.a.bf16):
            loss = nn.functional.cross_entropy(net(self.x[idx]), self.y[idx])
        loss.backward()
        opt.step()
        return loss

    @torch.no_grad()
    def accuracy(self, net, idx):
        """Accuracy on the cases idx."""
        net.eval()
        hits = 0
        for part in idx.split(512):
            with torch.autocast(self.dev.type, torch.bfloat16, enabled=self.a.bf16):
                hits += (net(self.x[part]).argmax(1) == self.y[part]).sum()
        net.train()
        return float(hits) / len(idx)

    def fit(self, hp, train, held_out, epochs, seed):
        """Accuracy on held_out after each epoch; batches of a.batch, the last short one dropped."""
        net, opt = self.model(hp, seed)
        g = torch.Generator().manual_seed(seed)
        curve = []
        for _ in range(epochs):
            order = train[torch.randperm(len(train), generator=g).to(train.device)]
            for k in range(0, len(order) - self.a.batch + 1, self.a.batch):
                self.step(net, opt, order[k : k + self.a.batch])
            curve.append(self.accuracy(net, held_out))
            self.sample_epochs += len(train)
        self.fits += 1
        return curve


def flags():
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True)
    p.add_argument("--folds", type=int, default=5)
    p.add_argument("--trials", type=int, default=8)
    p.add_argument("--epochs", type=int, default=10)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--model", choices=MODELS, default="cnn3")
    p.add_argument("--width", type=int, default=16)
    p.add_argument("--limit", type=int, default=0, help="use the first LIMIT samples only")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--steps-only", type=int, default=0)
    return p.parse_args()


def time_steps(run, labels, sync):
    """Median milliseconds of a training step, after five that do not count."""
    net, opt = run.model(draw_trials(1, 0)[0], 0)
    times = []
    for _ in range(run.a.steps_only + 5):
        idx = torch.randint(0, len(labels), (run.a.batch,), device=run.dev)
        t = time.perf_counter()
        run.step(net, opt, idx)
        sync()
        times.append(time.perf_counter() - t)
    return 1e3 * float(np.median(times[5:]))


def nested_cv(run, fold):
    """Test accuracy of each outer fold; fold [N] is the fold of each case."""
    trials, scores = draw_trials(run.a.trials, run.a.seed), []

    def index(keep):
        return torch.from_numpy(np.flatnonzero(keep)).to(run.dev)

    for t in range(run.a.folds):
        best = (-1.0, 0, 1)
        for h, hp in enumerate(trials):
            inner = [v for v in range(run.a.folds) if v != t]
            held_out = [(index((fold != t) & (fold != v)), index(fold == v)) for v in inner]
            curves = [run.fit(hp, train, out, run.a.epochs, run.a.seed) for train, out in held_out]
            peak = [int(np.argmax(c)) for c in curves]
            score = float(np.mean([c[e] for c, e in zip(curves, peak, strict=True)]))
            if score > best[0]:
                best = (score, h, max(1, round(float(np.mean(peak)) + 1)))
        refit = run.fit(trials[best[1]], index(fold != t), index(fold == t), best[2], run.a.seed)
        scores.append(refit[-1])
    return scores


def main():
    """Times the steps or the protocol and prints one JSON line."""
    a = flags()
    images, labels = load(a.data)
    if a.limit:
        images, labels = images[: a.limit], labels[: a.limit]
    run = Run(a, images, labels)
    sync = torch.cuda.synchronize if run.dev.type == "cuda" else lambda: None
    told = {"model": a.model, "width": a.width, "batch": a.batch, "device": str(run.dev)}
    if a.steps_only:
        print(json.dumps({**told, "ms_per_step": time_steps(run, labels, sync)}))
        return
    fold = np.random.default_rng(a.seed).permutation(len(labels)) % a.folds
    start = time.perf_counter()
    scores = nested_cv(run, fold)
    sync()
    seconds = time.perf_counter() - start
    told |= {
        "samples": len(labels),
        "folds": a.folds,
        "trials": a.trials,
        "epochs": a.epochs,
        "fits": run.fits,
    }
    told |= {"sample_epochs": run.sample_epochs, "seconds": round(seconds, 2)}
    told["sample_epochs_per_second"] = round(run.sample_epochs / seconds, 1)
    told["test_accuracy_mean"] = round(float(np.mean(scores)), 4)
    told["test_accuracy_se"] = round(float(np.std(scores, ddof=1) / np.sqrt(len(scores))), 4)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
