"""Worker: this library's recipes and its `fit`."""

from __future__ import annotations

import common
import jax
import jax.numpy as jnp
import optax

import flowjax


def fit(job: common.Job, seed: int) -> dict[str, float]:
    o = job.options
    size = {"depth": o["depth"], "width": o["width"], "hidden_layers": o["hidden_layers"]}
    net = flowjax.bijectors.mlp(o["width"], o["hidden_layers"], start="spread")  # as the peers'
    extra = {
        "realnvp": {"conditioner": net},
        "glow": {
            "levels": 1,
            "coupling": "affine",
            "permutation": "lu",
            "seed": seed,
            "latent_power": None,  # a step after the best validation, which no peer has
        },
        "neural_spline": {"bins": o["bins"], "bound": o["bound"], "seed": seed},
        "maf": {
            "conditioner": flowjax.bijectors.made(o["width"], o["hidden_layers"], start="spread"),
            "seed": seed,
        },
        "maf_spline": {
            "transform": "spline",
            "bins": o["bins"],
            "bound": o["bound"],
            "seed": seed,
        },
    }[job.flow]
    name = job.flow.removesuffix("_spline") if job.flow == "maf_spline" else job.flow
    flow = flowjax.flows.make(name, job.dim, **size, **extra)
    result = flowjax.fit(
        flow,
        job.train,
        key=seed,
        batch_size=o["batch_size"],
        steps=o["steps"],
        optimizer=flowjax.training.default_optimizer(
            optax.cosine_decay_schedule(o["learning_rate"], o["steps"]), clip_norm=o["clip_norm"]
        ),
        context=job.contexts["train"],
        validation=job.validation,
        validation_context=job.contexts["validation"],
        validate_every=o["validate_every"],
    )
    held = [(-m["validation_nll_nats"], m["step"]) for m in result.metrics if _held(m)]
    best, step = max(held)
    log_prob = flow.log_prob(result.params, jnp.asarray(job.test), job.contexts["test"])
    return {
        "test": float(log_prob.mean()),
        "validation": best,
        "best_step": step,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(result.params)),
    }


def _held(metrics: dict[str, float]) -> bool:
    return "validation_nll_nats" in metrics


if __name__ == "__main__":
    common.work(fit, {"bert-flowjax": flowjax.__version__, "jax": jax.__version__})
