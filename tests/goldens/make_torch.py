"""Script that writes zuko.npz, nflows.npz, normflows.npz and masked.npz: results in float64.

Create an environment for this script with Python 3.11, and run

    pip install torch==2.13.0 numpy==2.4.6
    pip install zuko==1.6.0 nflows==0.14 normflows==1.7.3
    python tests/goldens/make_torch.py

Every array is an input, a parameter or an output of one of these libraries. The tests convert the
parameters, because conventions differ, and compare the outputs. The array `versions` of each file
lists the versions of the packages.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import nflows.transforms as nt
import normflows
import numpy as np
import torch
import zuko
from nflows.transforms.splines.rational_quadratic import (
    unconstrained_rational_quadratic_spline,
)

HERE = Path(__file__).parent
ROWS, DIM, BINS, BOUND = 9, 6, 5, 3.0
HALF = DIM // 2
torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(20260101)


def normal(*shape, scale=1.0):
    return torch.tensor(scale * rng.standard_normal(shape))


def save(name, arrays, *packages):
    done = {k: v.detach().numpy() if torch.is_tensor(v) else v for k, v in arrays.items()}
    packages = (*(packages or [name]), "torch", "numpy")
    done["versions"] = np.array([f"{p} {version(p)}" for p in packages])
    np.savez_compressed(HERE / f"{name}.npz", **done)


def raw_spline(x_rows=ROWS):
    """Returns points (some outside of the bound), raw widths, heights and inner slopes."""
    return (
        normal(x_rows, DIM, scale=2.0),
        normal(x_rows, DIM, BINS),
        normal(x_rows, DIM, BINS),
        normal(x_rows, DIM, BINS - 1),
    )


def linear_net():
    """Returns weight and bias of a linear conditioner: shifts first, then raw log-scales."""
    return normal(2 * HALF, HALF, scale=0.7), normal(2 * HALF, scale=0.3)


def shift_and_log_scale(weight, bias, kept):
    out = kept @ weight.T + bias
    return out[..., :HALF], bounded(out[..., HALF:])


def bounded(raw):
    return 2 * torch.tanh(raw / 2)


def make_zuko():
    x = normal(ROWS, DIM)
    out = {"x": x}
    lu = normal(DIM, DIM, scale=0.4) + torch.diag(torch.arange(1.0, DIM + 1))
    transform = zuko.transforms.LULinearTransform(lu)
    out |= {"lu": lu, "lu_z": transform(x)}
    out["lu_log_det"] = transform.log_abs_det_jacobian(x, out["lu_z"])

    points, widths, heights, slopes = raw_spline()
    spline = zuko.transforms.MonotonicRQSTransform(widths, heights, slopes, bound=BOUND)
    value, log_slope = spline.call_and_ladj(points)
    out |= {"spline_x": points, "spline_z": value, "spline_log_slope": log_slope}
    out |= {"spline_horizontal": spline.horizontal, "spline_vertical": spline.vertical}
    out |= {"spline_slopes": spline.derivatives, "spline_inverse": spline.inv(points)}

    weight, bias = linear_net()

    def meta(kept):
        shift, log_scale = shift_and_log_scale(weight, bias, kept)
        inner = torch.distributions.transforms.AffineTransform(shift, log_scale.exp())
        return zuko.transforms.DependentTransform(inner, 1)

    mask = torch.arange(DIM) < HALF
    coupling = zuko.transforms.CouplingTransform(meta, mask)
    value, log_det = coupling.call_and_ladj(x)
    out |= {"affine_weight": weight, "affine_bias": bias}
    out |= {"affine_z": value, "affine_log_det": log_det}
    save("zuko", out)


def make_nflows():
    x = normal(ROWS, DIM)
    out = {"x": x}
    linear = nt.LULinear(DIM, identity_init=False)
    with torch.no_grad():
        linear.bias.copy_(normal(DIM))
        linear.unconstrained_upper_diag.copy_(normal(DIM))
    lower, upper = linear._create_lower_upper()
    out["lu_z"], out["lu_log_det"] = linear(x)
    out |= {"lu_lower": lower, "lu_upper": upper, "lu_bias": linear.bias}

    norm = nt.ActNorm(DIM).eval()
    with torch.no_grad():
        norm.log_scale.copy_(normal(DIM))
        norm.shift.copy_(normal(DIM))
    out["actnorm_z"], out["actnorm_log_det"] = norm(x)
    out |= {"actnorm_log_scale": norm.log_scale, "actnorm_shift": norm.shift}

    points, widths, heights, slopes = raw_spline()
    for name, inverse in (("z", False), ("inverse", True)):
        value, log_slope = unconstrained_rational_quadratic_spline(
            points, widths, heights, slopes, inverse=inverse, tail_bound=BOUND
        )
        out |= {f"spline_{name}": value, f"spline_{name}_log_slope": log_slope}
    out |= {"spline_x": points, "spline_widths": widths}
    out |= {"spline_heights": heights, "spline_slopes": slopes}

    weight, bias = linear_net()
    net = torch.nn.Linear(HALF, HALF)
    with torch.no_grad():
        net.weight.copy_(weight[:HALF])
        net.bias.copy_(bias[:HALF])
    mask = torch.tensor([0] * HALF + [1] * HALF)
    coupling = nt.AdditiveCouplingTransform(mask, lambda *sizes: _WithContext(net))
    out["additive_z"], out["additive_log_det"] = coupling(x)
    out |= {"additive_weight": weight[:HALF], "additive_bias": bias[:HALF]}

    weight, bias = linear_net()
    net = torch.nn.Linear(HALF, 2 * HALF)
    with torch.no_grad():
        net.weight.copy_(weight)
        net.bias.copy_(bias)
    coupling = _Affine(mask, lambda *sizes: _WithContext(net))
    out["affine_z"], out["affine_log_det"] = coupling(x)
    out |= {"affine_weight": weight, "affine_bias": bias}
    save("nflows", out)


class _Affine(nt.AffineCouplingTransform):
    """Coupling of nflows with the log-scale of flowjax in place of sigmoid(raw + 2) + 1e-3."""

    def _scale_and_shift(self, raw):
        return bounded(raw[:, HALF:]).exp(), raw[:, :HALF]


class _WithContext(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, context=None):
        return self.net(x)


class _Interleaved(torch.nn.Module):
    """Linear conditioner for normflows: shifts at even and log-scales at odd outputs."""

    def __init__(self, weight, bias):
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, kept):
        shift, log_scale = shift_and_log_scale(self.weight, self.bias, kept)
        return torch.stack([shift, log_scale], dim=-1).flatten(1)


def make_normflows():
    x = normal(ROWS, DIM)
    weight, bias = linear_net()
    coupling = normflows.flows.AffineCoupling(_Interleaved(weight, bias))
    (kept, moved), log_det = coupling([x[:, :HALF], x[:, HALF:]])
    norm = normflows.flows.AffineConstFlow(DIM)
    with torch.no_grad():
        norm.s.copy_(normal(1, DIM))
        norm.t.copy_(normal(1, DIM))
    norm_z, norm_log_det = norm(x)

    # forward of normflows is latent -> data and multiplies a row by the matrix on its right
    linear = normflows.flows.InvertibleAffine(DIM, use_lu=True)
    with torch.no_grad():
        linear.P.copy_(torch.eye(DIM))
        linear.sign_S.copy_(torch.ones(DIM))
        for values in (linear.L, linear.U):
            values.copy_(normal(DIM, DIM, scale=0.4))
        linear.log_S.copy_(normal(DIM, scale=0.5))
    lu_z, lu_log_det = linear.inverse(x)

    points, widths, heights, slopes = raw_spline()
    spline = {"spline_x": points, "spline_widths": widths}
    spline |= {"spline_heights": heights, "spline_slopes": slopes}
    for name, inverse in (("z", False), ("inverse", True)):
        value, log_slope = normflows.utils.splines.unconstrained_rational_quadratic_spline(
            points, widths, heights, slopes, inverse=inverse, tail_bound=BOUND
        )
        spline |= {f"spline_{name}": value, f"spline_{name}_log_slope": log_slope}
    save(
        "normflows",
        {
            "x": x,
            "affine_weight": weight,
            "affine_bias": bias,
            "affine_z": torch.cat([kept, moved], dim=1),
            "affine_log_det": log_det,
            "actnorm_log_scale": norm.s[0],
            "actnorm_shift": norm.t[0],
            "actnorm_z": norm_z,
            "actnorm_log_det": norm_log_det.expand(ROWS),
            "lu_lower": torch.tril(linear.L, -1),
            "lu_upper": torch.triu(linear.U, 1),
            "lu_log_diagonal": linear.log_S,
            "lu_z": lu_z,
            "lu_log_det": lu_log_det.expand(ROWS),
            **spline,
        },
    )


def make_masked():
    """Writes an affine layer of zuko with a context and a spline layer of nflows."""
    dim, width, context_width = 4, 32, 2
    x, context = normal(ROWS, dim, scale=2.0), normal(ROWS, context_width)
    out = {"x": x, "context": context, "zuko_rank": np.array([2, 0, 3, 1])}

    layer = zuko.flows.MaskedAutoregressiveTransform(
        dim,
        context_width,
        order=torch.tensor(out["zuko_rank"]),
        univariate=lambda shift, raw: torch.distributions.transforms.AffineTransform(
            shift, bounded(raw).exp()
        ),
        hidden_features=(width, width),
    )
    linear = [part for part in layer.hyper if hasattr(part, "mask")]
    out["zuko_degrees"] = linear[0].mask[:, :dim].sum(dim=1)
    for i, part in enumerate(linear):
        with torch.no_grad():
            part.weight.copy_(normal(*part.weight.shape, scale=0.5))
            part.bias.copy_(normal(*part.bias.shape, scale=0.3))
        out |= {f"zuko_kernel_{i}": part.weight.T, f"zuko_bias_{i}": part.bias}
    z, log_det = layer(context).call_and_ladj(x)
    out |= {"zuko_z": z, "zuko_log_det": log_det.sum(dim=-1) if log_det.ndim == 2 else log_det}

    spline = nt.MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
        dim, 24, num_bins=BINS, tails="linear", tail_bound=BOUND, use_residual_blocks=False
    )
    net = spline.autoregressive_net
    linear = [net.initial_layer, *(block.linear for block in net.blocks), net.final_layer]
    out["nflows_degrees"] = linear[0].degrees
    for i, part in enumerate(linear):
        with torch.no_grad():
            part.weight.copy_(normal(*part.weight.shape, scale=0.5))
            part.bias.copy_(normal(*part.bias.shape, scale=0.3))
        out |= {f"nflows_kernel_{i}": part.weight.T, f"nflows_bias_{i}": part.bias}
    out["nflows_z"], out["nflows_log_det"] = spline(x)
    save("masked", out, "zuko", "nflows")


if __name__ == "__main__":
    make_zuko()
    make_nflows()
    make_normflows()
    make_masked()
