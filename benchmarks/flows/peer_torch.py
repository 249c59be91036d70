"""zuko, nflows, normflows, and `bare`: the same flows in torch alone. Fused Adam for all."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib.metadata import version

import cells
import torch
from torch import nn

torch.set_num_threads(2)
torch.manual_seed(0)
LOG_2PI = math.log(2 * math.pi)


def mlp(i: int, h: int, o: int) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(i, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, o))
    nn.init.zeros_(net[-1].weight), nn.init.zeros_(net[-1].bias)
    return net


class Bare(nn.Module):
    def __init__(self, cell: dict[str, int]) -> None:
        super().__init__()
        self.half = cell["D"] // 2
        nets = (mlp(self.half, cell["H"], 2 * self.half) for _ in range(cell["L"]))
        self.nets = nn.ModuleList(nets)

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, -1)
        log_det = 0
        for net in self.nets:
            shift, raw = net(a).chunk(2, -1)
            log_scale = torch.tanh(raw)
            a, b = (b - shift) * torch.exp(-log_scale), a
            log_det = log_det - log_scale.sum(-1)
        z = torch.cat([a, b], -1)
        return log_det - 0.5 * ((z * z).sum(-1) + z.shape[-1] * LOG_2PI)

    def sample(self, n: int) -> torch.Tensor:
        a, b = torch.randn(n, 2 * self.half).chunk(2, -1)
        for net in reversed(self.nets):
            shift, raw = net(b).chunk(2, -1)
            a, b = b, a * torch.exp(torch.tanh(raw)) + shift
        return torch.cat([a, b], -1)


class BareGlow(nn.Module):
    def __init__(self, cell: dict[str, int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        for level in range(cell["levels"]):
            dim, steps = cell["D"] // 2**level, nn.ModuleList()
            for _ in range(cell["steps"]):
                step = nn.Module()
                step.bias = nn.Parameter(torch.zeros(dim))
                step.log_scale = nn.Parameter(torch.zeros(dim))
                step.register_buffer("order", torch.randperm(dim))
                step.net = mlp(dim // 2, cell["H"], dim // 2)
                steps.append(step)
            self.levels.append(steps)

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        total = -0.5 * x.shape[-1] * LOG_2PI
        for i, steps in enumerate(self.levels):
            for step in steps:
                x = ((x + step.bias) * torch.exp(step.log_scale))[:, step.order]
                a, b = x.chunk(2, -1)
                x = torch.cat([a, b - step.net(a)], -1)
                total = total + step.log_scale.sum()
            if i + 1 < len(self.levels):
                x, out = x.chunk(2, -1)
                total = total - 0.5 * (out * out).sum(-1)
        return total - 0.5 * (x * x).sum(-1)


def nflows_model(cell: dict[str, int]) -> nn.Module:
    from nflows import distributions, flows, transforms

    class Net(nn.Sequential):
        def forward(self, x: torch.Tensor, context: None = None) -> torch.Tensor:
            return super().forward(x)

    dim, net = cell["D"], lambda i, o: Net(*mlp(i, cell["H"], o))
    if "maf" in cell:
        how = {"num_blocks": 1, "use_residual_blocks": False}
        layers = []
        for _ in range(cell["L"]):
            layers.append(transforms.ReversePermutation(dim))
            if "bins" in cell:
                layers.append(
                    transforms.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                        dim, cell["H"], num_bins=cell["bins"], tails="linear", tail_bound=5, **how
                    )
                )
            else:
                layers.append(
                    transforms.MaskedAffineAutoregressiveTransform(dim, cell["H"], **how)
                )
        chain = transforms.CompositeTransform(layers)
        return flows.Flow(chain, distributions.StandardNormal([dim]))
    if "levels" not in cell:
        masks = [(torch.arange(dim) < dim // 2) == bool(i % 2) for i in range(cell["L"])]
        layers = [transforms.AffineCouplingTransform(mask, net) for mask in masks]
        chain = transforms.CompositeTransform(layers)
        return flows.Flow(chain, distributions.StandardNormal([dim]))
    multi = transforms.MultiscaleCompositeTransform(cell["levels"], split_dim=1)
    for level in range(cell["levels"]):
        size, parts = dim // 2**level, []
        for _ in range(cell["steps"]):
            first = torch.arange(size) < size // 2
            parts += [transforms.ActNorm(size), transforms.RandomPermutation(size)]
            parts += [transforms.AdditiveCouplingTransform(first, net)]
        multi.add_transform(transforms.CompositeTransform(parts), (size,))
    return flows.Flow(multi, distributions.StandardNormal([dim]))


def normflows_model(cell: dict[str, int]) -> nn.Module:
    import normflows as nf

    def gauss(dim: int) -> nn.Module:
        return nf.distributions.DiagGaussian(dim, trainable=False)

    def coupling(dim: int, out: int, **options: bool) -> nn.Module:
        net = nf.nets.MLP([dim // 2, cell["H"], cell["H"], out], init_zeros=True)
        return nf.flows.AffineCouplingBlock(net, **options)

    dim = cell["D"]
    if "levels" not in cell:
        layers = []
        for _ in range(cell["L"]):
            layers += [coupling(dim, dim), nf.flows.Permute(dim, mode="swap")]
        return nf.NormalizingFlow(gauss(dim), layers)
    bases, levels = [], []
    for i in reversed(range(cell["levels"])):  # its first level is the one nearest to the noise
        size, layers = dim // 2**i, []
        for _ in range(cell["steps"]):
            layers += [coupling(size, size // 2, scale=False), nf.flows.ActNorm(size)]
            layers += [nf.flows.Permute(size, mode="shuffle")]
        bases.append(gauss(size // 2 if levels else size))
        levels.append(layers)
    merges = [nf.flows.Merge() for _ in levels[1:]]
    return nf.MultiscaleFlow(bases, levels, merges, class_cond=False)


def model_of(name: str, cell: dict[str, int]) -> tuple[nn.Module, Callable, Callable]:
    """Returns the model, log_prob(x) and sample(n)."""
    if name in ("bare", "normflows"):
        cells.only_couplings(cell)
    if name == "bare":
        model = BareGlow(cell) if "levels" in cell else Bare(cell)
    elif name == "nflows":
        model = nflows_model(cell)
    elif name == "normflows":
        model = normflows_model(cell)
        logp = (lambda x: model.log_prob(x, None)) if "levels" in cell else model.log_prob
        return model, logp, lambda n: model.sample(n)[0]
    else:
        if "levels" in cell:
            raise cells.NotThere("no multi-scale flow")
        import zuko

        hidden = (cell["H"], cell["H"])
        how = {"transforms": cell["L"], "hidden_features": hidden}
        if "bins" in cell:
            model = zuko.flows.NSF(cell["D"], bins=cell["bins"], **how)
        else:
            recipe = zuko.flows.MAF if "maf" in cell else zuko.flows.RealNVP
            model = recipe(cell["D"], **how)
        return model, lambda x: model().log_prob(x), lambda n: model().sample((n,))
    return model, model.log_prob, getattr(model, "sample", None)


def build(name: str, cell: dict[str, int], task: str) -> tuple[Callable[[], float], int, int]:
    model, logp, draw = model_of(name, cell)
    params = list(model.parameters())
    size = sum(p.numel() for p in params)
    if task == "sample" and draw is None:
        raise cells.NotThere("Glow by hand has no inverse")
    if task != "step":
        x = torch.randn(cells.ROWS, cell["D"])

        @torch.no_grad()
        def evaluate() -> float:
            return float(logp(x)[0]) if task == "logp" else float(draw(cells.ROWS)[0, 0])

        return evaluate, size, 1
    data = [torch.randn(cell["B"], cell["D"]) for _ in range(cells.BATCHES)]
    logp(data[0])  # data-dependent initialization, where there is one
    optimizer = torch.optim.Adam(params, lr=cells.LEARNING_RATE, fused=True)
    n, turn = cells.steps_per_call(cell), 0

    def train() -> float:
        nonlocal turn
        for _ in range(n):
            optimizer.zero_grad(set_to_none=True)
            loss = -logp(data[turn % cells.BATCHES]).mean()
            loss.backward()
            optimizer.step()
            turn += 1
        return float(loss.detach())

    return train, size, n


if __name__ == "__main__":
    names = ("torch", "zuko", "nflows", "normflows")
    cells.serve(build, {name: version(name) for name in names})
