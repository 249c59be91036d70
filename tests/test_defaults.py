"""Default values of the public functions, and constants that determine results.

A change of one of these values changes the results of all users, so it must be deliberate.
"""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

import flowjax

NET = {"width": 64, "hidden_layers": 2, "conditioner": None}
LOOP = {"unroll": None, "checkpoint": False}
MODEL = {"base": "normal", "latent_power": None, "seed": 0}
SPLINE = {"bins": 8, "bound": 5.0}
COUPLED = {"conditioner": None, "mask": "half", "swap": False}
CLOSED = {"shrinkage": 0.0, "moments": None, "base": "normal"}
WHITENING = {"components": None, "shrinkage": 0.0, "eigenvalue_floor": 1e-6}
DENSE = {"width": 64, "activation": "relu"}

DEFAULTS = {
    "flows.all_but_the_top": {"components": None, **CLOSED},
    "flows.center": CLOSED,
    "flows.elementwise_spline": {**NET, **LOOP, **SPLINE, "depth": 2, "base": "normal"},
    "flows.glow": {
        **NET, **LOOP, **MODEL, "levels": None, "depth": 3, "width": 32, "coupling": "additive",
        "permutation": "random", "mask": "half", "conditional_split": False, "init": "data",
        "latent_power": 0.5,
    },
    "flows.glow_as_released": {
        "levels": 3, "depth": 3, "width": 32, "data_dependent_init": False, "latent_power": None,
        "unroll": None,
    },
    "flows.identity": {"gaussian": False, "moments": None, "base": "normal"},
    "flows.maf": {
        **NET, **LOOP, **MODEL, **SPLINE, "depth": 5, "transform": "affine",
        "permutation": "random",
    },
    "flows.mixture": {"components": 8},
    "flows.neural_spline": {
        **NET, **LOOP, **MODEL, **SPLINE, "depth": 4, "permutation": "lu", "mask": "half",
    },
    "flows.realnvp": {
        **NET, **LOOP, **MODEL, "depth": 8, "coupling": "affine", "normalize": True,
        "permutation": "none", "mask": "half",
    },
    "flows.standardize": {"moments": None, "base": "normal"},
    "flows.student_t": {"df": 5.0},
    "flows.uniform": {"low": 0.0, "high": 1.0},
    "flows.whitening": {**WHITENING, **CLOSED, "power": 1.0},
    "flows.whitening_glow": {**WHITENING, "moments": None, "latent_power": None},
    "bijectors.actnorm": {"init": "data", "logscale_factor": 1.0},
    "bijectors.additive_coupling": COUPLED,
    "bijectors.affine_coupling": {**COUPLED, "scale": "tanh", "bound": 2.0},
    "bijectors.affine_map": {"scale": "tanh", "bound": 2.0},
    "bijectors.circular_spline_map": {"bins": 8},
    "bijectors.glow_net": {"width": 32, "init": "data", "logscale_factor": 3.0},
    "bijectors.householder": {"reflections": None, "init": "random"},
    "bijectors.linear_lu": {"init": "rotation", "seed": 0},
    "bijectors.made": {**DENSE, "depth": 2, "residual": False, "start": "zero"},
    "bijectors.masked_autoregressive": {"transform": None, "net": None, "order": "natural"},
    "bijectors.mlp": {**DENSE, "depth": 2, "start": "zero"},
    "bijectors.permutation": {"seed": 0, "index": 0, "mask": "half"},
    "bijectors.rational_quadratic_spline": {"bound": 5.0, "inverse": False},
    "bijectors.repeat": LOOP,
    "bijectors.residual": {**DENSE, "blocks": 2},
    "bijectors.spline_coupling": {**COUPLED, **SPLINE},
    "bijectors.spline_map": SPLINE,
    "bijectors.split": {"conditional": False, "conditioner": None},
    "bijectors.standardize": {"moments": None, "constant": "one"},
    "bijectors.whitening": {**WHITENING, "power": 1.0, "moments": None},
    "bijectors.whitening_from_moments": {**WHITENING, "power": 1.0},
    "training.adam_uncorrected": {
        "b1": 0.9, "b2": 0.999, "eps": 1e-6, "weight_decay": 0.01, "clip_norm": 1.0,
        "gradient_scale": 1.0, "mask": None,
    },
    "training.default_optimizer": {
        "learning_rate": 1e-3, "weight_decay": 0.0, "clip_norm": 1.0,
    },
    "fit": {
        "batch_size": None, "steps": None, "epochs": None, "optimizer": None,
        "validate_every": None, "patience": None, "mapping": "shard_map", "accumulate": 1,
        "precision": "float32", "checkpoint_every": 1000, "keep": 3, "resume": True,
        "measured": True,
    },
}  # fmt: skip

CONSTANTS = {
    "bijectors.spline": {"MIN_WIDTH": 1e-3, "MIN_SLOPE": 1e-3, "RAW_BOUND": 3.0},
    "bijectors.permutation": {"PERIOD": 32},
    "flows.latents": {"SHRINKAGE": "likelihood"},
    "fitting.length": {"LEAST_STEPS": 1000, "MOST_EPOCHS": 200},
    "fitting.options": {"BATCH_SIZE": 256},
    "fitting.outliers": {"FAR": 100, "MOST": 0.1, "IQR": 1.349},
    "fitting.advice": {"TOLERANCE": 0.01},
    "calibration.auto": {"BATCH_SIZE": 64},
    "calibration.criterion": {
        "KINDS": {"dropped_words": "mrr", "halves": "auc"},
        "WEIGHTS": {"dropped_words": 0.7, "halves": 0.3},
        "RANKS": "dropped_words", "RATE": 0.7, "MARGIN": 0.2, "LEAST_SENTENCES": 200,
        "POWERS": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    },
    "calibration.candidates": {"SHRINKAGE": "auto"},
    "calibration.inputs": {"FIT": 0.6, "CHOOSE": 0.2, "LEAST_PAIRS": 40, "LEAST_AUC": 55.0},
    "calibration.scores": {"DISTANCE": 0.05, "FALSE_ALARM": 1e-3, "FOLDS": 5, "MANY": 200},
}  # fmt: skip


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults(name):
    function = flowjax
    for part in name.split("."):
        function = getattr(function, part)
    options = inspect.signature(function).parameters
    found = {option: options[option].default for option in DEFAULTS[name]}
    assert found == DEFAULTS[name]


def test_every_recipe_and_every_option_of_a_recipe_is_in_the_table():
    for name in set(flowjax.flows.RECIPES) - {"iaf"}:  # `iaf` has the options of `maf`
        options = flowjax.flows.recipe.options_of(name)
        assert options.keys() == DEFAULTS[f"flows.{name}"].keys() | {
            key for key, option in options.items() if option.kind is option.VAR_KEYWORD
        } | (set(options) & set(DEFAULTS["flows.glow"]) if name == "whitening_glow" else set())


@pytest.mark.parametrize("module", CONSTANTS)
def test_constants(module):
    found = import_module(f"flowjax.{module}")
    assert {key: getattr(found, key) for key in CONSTANTS[module]} == CONSTANTS[module]
