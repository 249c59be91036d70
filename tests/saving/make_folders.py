"""Writes the folders of `tests/saving/folders`, which later releases must be able to read.

Run this script only for a new format, or to add a flow: `python tests/saving/make_folders.py NAME
...`. It never replaces a folder, because an earlier folder is the test of compatibility. The
folders `glow_plain` (whiten_latents=False) and `whitening_beta` (beta=0.5, components=2) have
options that a later release renamed.
"""

import sys
from pathlib import Path

import jax
import numpy as np

import flowjax
from flowjax import flows

FOLDERS = Path(__file__).parent / "folders"
FLOWS = {
    "whitening": lambda: flows.whitening(3),
    "whitening_glow": lambda: flows.whitening_glow(4, levels=1, depth=1, width=4),
    "glow": lambda: flows.glow(4, levels=1, depth=1, width=4),
    "glow_power": lambda: flows.glow(4, levels=1, depth=1, width=4, latent_power=0.5),
    "whitening_power": lambda: flows.whitening(4, components=2, power=0.5),
    "center": lambda: flows.center(4),
    "all_but_the_top": lambda: flows.all_but_the_top(4),
}


def write(name):
    rng = np.random.default_rng(0)
    flow = FLOWS[name]()
    x = (rng.normal(size=(60, flow.dim)) @ rng.normal(size=(flow.dim, flow.dim))).astype("f4")
    result = flowjax.fit(flow, x, key=0, batch_size=20, steps=6, devices=1)
    expected = {
        "x": x[:5],
        "log_prob": flow.log_prob(result.params, x[:5]),
        "z": flow.forward(result.params, x[:5])[0],
        "sample": flow.sample(result.params, jax.random.key(1), 3),
    }
    flowjax.save_flow(FOLDERS / name, flow, result.params)
    np.savez(FOLDERS / f"{name}.npz", **expected)


if __name__ == "__main__":
    for name in sys.argv[1:] or FLOWS:
        write(name)
