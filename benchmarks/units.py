"""NLL of each recipe on one data set in several units, corrected for the scale.

    python benchmarks/units.py

The data are 3,000 examples of independent Gamma(2) variables in `--dim` dimensions. In each row
they are multiplied by the given number, moved by an offset, or each column gets another unit and
offset. The corrected NLL (the NLL minus the sum of the log-scales) is the same in all rows if the
unit does not matter. Prints a Markdown table, in nats per example.
"""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import tyro

import flowjax
from flowjax import flows
from flowjax.training import NonFinite

UNITS = {
    "1": (1.0, 0.0),
    "x 1e-6": (1e-6, 0.0),
    "x 1e-3": (1e-3, 0.0),
    "x 0.05": (0.05, 0.0),
    "x 1e3": (1e3, 0.0),
    "x 1e6": (1e6, 0.0),
    "+ 1000": (1.0, 1e3),
    "mixed units and offsets": (
        np.array([1e-6, 1.0, 1e3, 1e6]),
        np.array([1e-3, -50.0, 0.0, 1e7]),
    ),
}


@dataclasses.dataclass(frozen=True)
class Args:
    dim: int = 8
    steps: int = 300
    recipes: tuple[str, ...] = tuple(name for name in flows.RECIPES if name != "identity")
    """Recipes to fit; `glow_as_released` keeps the parametrisation of the released code."""


def corrected_nll(name: str, x: np.ndarray, args: Args) -> float:
    """Returns the training NLL after a fit, in nats per example, or NaN if the fit diverges."""
    flow = flows.make(name, args.dim)
    try:
        params = flowjax.fit(flow, x, key=0, steps=args.steps, measured=False).params
    except NonFinite:
        return np.nan
    return -float(flow.log_prob(params, x.astype(np.float32)).mean())


def main(args: Args) -> None:
    warnings.simplefilter("ignore")
    x = np.random.default_rng(0).gamma(2.0, size=(3000, args.dim))
    print("| unit |", " | ".join(args.recipes), "|")
    print("|---|" + "---:|" * len(args.recipes))
    for unit, (scale, offset) in UNITS.items():
        scale, offset = (np.resize(value, args.dim) for value in (scale, offset))
        found = [
            corrected_nll(name, x * scale + offset, args) - np.log(scale).sum()
            for name in args.recipes
        ]
        print(f"| {unit} |", " | ".join(f"{value:.3f}" for value in found), "|", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
