"""Worker: the same flows made of zuko's parts, and a plain torch loop."""

from __future__ import annotations

import copy
import importlib.metadata

import common
import torch
import zuko
from torch import nn
from zuko.distributions import DiagNormal
from zuko.flows import Flow, GeneralCouplingTransform, UnconditionalDistribution
from zuko.lazy import LazyTransform, UnconditionalTransform
from zuko.transforms import (
    ComposedTransform,
    LULinearTransform,
    MonotonicAffineTransform,
    MonotonicRQSTransform,
    PermutationTransform,
)


class Actnorm(LazyTransform):
    """zuko has no actnorm: its affine map, whose numbers are set from the training rows."""

    def __init__(self, x: torch.Tensor) -> None:
        super().__init__()
        std, mean = torch.std_mean(x, dim=0, correction=0)
        self.shift, self.scale = nn.Parameter(-mean / std), nn.Parameter(-std.log())

    def forward(self, c: object = None) -> MonotonicAffineTransform:
        return MonotonicAffineTransform(self.shift, self.scale, slope=1e-30)  # as good as no bound


def linear(dim: int, seed: int) -> list[LazyTransform]:
    """zuko's LU map, started at a rotation; it has no bias."""
    order, lower, upper = common.rotation_lu(dim, seed)
    packed = torch.tensor(lower + upper, dtype=torch.float32) - torch.eye(dim)
    back = torch.tensor(order).argsort()
    permute = UnconditionalTransform(PermutationTransform, back, buffer=True)
    return [UnconditionalTransform(LULinearTransform, packed), permute]


def coupling(job: common.Job, swap: bool = False) -> LazyTransform:
    first = torch.arange(job.dim) < job.kept  # true: keeps
    o, how = job.options, {}
    if job.flow == "neural_spline":
        bins = o["bins"]
        how = {
            "univariate": lambda *phi: MonotonicRQSTransform(*phi, bound=o["bound"]),
            "shapes": ((bins,), (bins,), (bins - 1,)),
        }
    hidden = [o["width"]] * o["hidden_layers"]
    mask = ~first if swap else first
    return GeneralCouplingTransform(
        job.dim, job.context_dim, mask=mask, hidden_features=hidden, **how
    )


def build(job: common.Job, seed: int) -> Flow:
    torch.manual_seed(seed)
    o, given = job.options, job.contexts["train"]
    if job.flow in ("maf", "maf_spline"):  # its own recipes
        how = {"bins": o["bins"]} if job.flow == "maf_spline" else {}
        recipe = zuko.flows.MAF if job.flow == "maf" else zuko.flows.NSF
        hidden = [o["width"]] * o["hidden_layers"]
        return recipe(
            job.dim, job.context_dim, transforms=o["depth"], hidden_features=hidden, **how
        )
    layers: list[LazyTransform] = []
    x, context = torch.tensor(job.train), None if given is None else torch.tensor(given)

    def add(*new: LazyTransform) -> None:
        nonlocal x
        layers.extend(new)
        with torch.no_grad():
            x = ComposedTransform(*(layer(context) for layer in new))(x)

    for i in range(job.options["depth"]):
        if job.flow == "realnvp":
            if i % 2 == 0:
                add(Actnorm(x))
            add(coupling(job, swap=i % 2 == 1))
        else:
            add(Actnorm(x))
            add(*linear(job.dim, 100 * seed + i), coupling(job))
    zeros, ones = torch.zeros(job.dim), torch.ones(job.dim)
    return Flow(layers, UnconditionalDistribution(DiagNormal, zeros, ones, buffer=True))


def fit(job: common.Job, seed: int) -> dict[str, float]:
    o = job.options
    flow = build(job, seed)
    optimizer = torch.optim.Adam(flow.parameters(), lr=o["learning_rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, o["steps"])
    train, validation, test = map(torch.tensor, (job.train, job.validation, job.test))
    contexts = {k: None if c is None else torch.tensor(c) for k, c in job.contexts.items()}

    def mean(rows: torch.Tensor, part: str) -> float:
        with torch.no_grad():
            return float(flow(contexts[part]).log_prob(rows).mean())

    best, step, kept = -float("inf"), 0, flow.state_dict()
    for i, rows in enumerate(job.batches(seed), start=1):
        given = None if job.context_dim == 0 else contexts["train"][rows]
        loss = -flow(given).log_prob(train[rows]).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(flow.parameters(), o["clip_norm"])
        optimizer.step()
        schedule.step()
        if i % o["validate_every"] == 0 and (now := mean(validation, "validation")) > best:
            best, step, kept = now, i, copy.deepcopy(flow.state_dict())
    flow.load_state_dict(kept)
    return {
        "test": mean(test, "test"),
        "validation": best,
        "best_step": step,
        "parameters": sum(p.numel() for p in flow.parameters()),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    version = importlib.metadata.version("zuko")
    common.work(fit, {"zuko": version, "torch": torch.__version__})
