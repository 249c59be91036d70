# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Data-parallel on eight devices
#
# You will see one fit on one device and on eight, mapped by `shard_map` and by `pmap`, with losses
# and parameters that are equal to rounding. The eight devices are made of this computer's
# processor, so nothing gets faster here; eight accelerators run the same lines. Start this
# notebook afresh: the number of devices is fixed once JAX has started.

# %%
import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

# %%
# %matplotlib inline
import jax
import numpy as np

import flowjax
from flowjax import flows, plots

print(f"{jax.device_count()} devices: {', '.join(str(device.id) for device in jax.devices())}")

# %% [markdown]
# Rows of 16 numbers on a bent sheet. `batch_size` is of the whole step: eight devices take 32 rows
# each, and the batches are the same ones on any number of devices.

# %%
rng = np.random.default_rng(0)
x = rng.normal(size=(4096, 16)).astype(np.float32)
x[:, 8:] = 0.3 * x[:, 8:] + np.tanh(x[:, :8]) ** 2
flow = flows.realnvp(16, depth=4, width=32)

# %%
results = {}
for name, options in {
    "1 device": {"devices": 1},
    "8 devices, shard_map": {"devices": 8, "mapping": "shard_map"},
    "8 devices, pmap": {"devices": 8, "mapping": "pmap"},
}.items():
    results[name] = flowjax.fit(
        flow, x[:3584], key=0, batch_size=256, steps=200,
        validation=x[3584:], validate_every=20, **options
    )  # fmt: skip

# %% [markdown]
# The loss on the rows kept aside, on the way:

# %%
curves = {
    name: {row["step"]: row["validation_nll_nats"] for row in result.metrics
           if "validation_nll_nats" in row}
    for name, result in results.items()
}  # fmt: skip
for name, curve in curves.items():
    print(f"{name:<22}", *(f"step {step}: {curve[step]:.5f} nats  " for step in (20, 100, 200)))

# %% [markdown]
# How far apart are the parameters at the end?

# %%
reference = jax.tree.leaves(results["1 device"].params)
for name, result in results.items():
    leaves = jax.tree.leaves(result.params)
    apart = max(np.abs(a - b).max() for a, b in zip(leaves, reference, strict=True))
    print(f"{name:<22} largest difference {apart:.1e}")

# %% [markdown]
# The curves lie on each other.

# %%
rows = [
    {"step": step, **{name: curve[step] for name, curve in curves.items()}}
    for step in curves["1 device"]
]
plots.loss_curves(rows, keys=list(curves), unit="nats")
