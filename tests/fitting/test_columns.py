"""Columns that float32 or a density cannot describe: warnings, `dequantize`, float64."""

import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest

import flowjax
from flowjax import flows
from flowjax.data import dequantize
from flowjax.data.arrays import ArraySource
from flowjax.data.columns import discrete_columns
from flowjax.fitting.rows import about_columns

RNG = np.random.default_rng(0)
N = 2000
NORMAL = RNG.normal(size=(N, 1))

DISCRETE = {
    "0 and 1": RNG.integers(0, 2, (N, 1)),
    "integers to 100": RNG.integers(0, 100, (N, 1)),
    "two decimals": NORMAL.round(2),
    "steps of 1/7": RNG.integers(0, 30, (N, 1)) / 7,
    "half zeros": np.maximum(NORMAL, 0),
    "sentinels": np.where(NORMAL < -0.7, -999, NORMAL),
    "three values": RNG.choice([1e-9, 2.0, 1e9], (N, 1)),
}
CONTINUOUS = {
    "normal": NORMAL,
    "float32": NORMAL.astype(np.float32),
    "float16": NORMAL.astype(np.float16),
    "constant": np.ones((N, 1)),
    "large offset": NORMAL + 1000,
    "heavy tails": RNG.standard_cauchy((N, 1)),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_a_discrete_column_warns_alone_and_beside_others(name):
    column = DISCRETE[name]
    assert discrete_columns(column) == [0]
    (text,) = about_columns(ArraySource(np.concatenate([NORMAL, column, NORMAL**3], axis=1)))
    assert "values in column 1: " in text and "flowjax.data.dequantize" in text
    if name not in ("half zeros", "sentinels"):
        noisy = dequantize(column, seed=0)
        assert discrete_columns(noisy) == [] and len(np.unique(noisy)) > 0.99 * N


@pytest.mark.parametrize("name", CONTINUOUS)
def test_a_continuous_column_does_not_warn(name):
    for rows in (CONTINUOUS[name], np.concatenate([CONTINUOUS[name], NORMAL], axis=1)):
        assert about_columns(ArraySource(rows)) == []


def test_sentence_vectors_and_repeated_examples_do_not_warn():
    text = ["A man plays.", "Two dogs run.", "It rains.", "The sky is blue.", "We eat."]
    vectors = np.asarray(flowjax.SentenceEncoder.from_pretrained("minibert").encode(text))
    noise = RNG.normal(size=(100, 1, vectors.shape[1])) * 0.1
    many = (vectors + noise).reshape(-1, vectors.shape[1])
    for rows in (vectors, many, np.repeat(many, 3, axis=0), many.astype(np.float16)):
        assert about_columns(ArraySource(rows.astype(np.float32))) == []


def test_dequantize_keeps_other_columns_and_rounds_back():
    x = np.concatenate([NORMAL, RNG.integers(0, 9, (N, 1)) * 0.25], axis=1)
    y = dequantize(x, seed=3)
    np.testing.assert_array_equal(y[:, 0], x[:, 0])
    np.testing.assert_allclose(np.round(y[:, 1] / 0.25) * 0.25, x[:, 1])
    np.testing.assert_array_equal(y, dequantize(x, seed=3))
    assert dequantize(x.astype(np.float32), 0).dtype == np.float32
    assert np.abs(dequantize(x, 0, columns=0, step=2.0) - x)[:, 0].max() > 0.9
    for options, message in {
        "columns": ({"columns": 2}, "columns: expected 0 to 1, got 2"),
        "step": ({"columns": 0, "step": 0.0}, "step: expected a .*number.* got 0.0"),
    }.values():
        with pytest.raises(flowjax.errors.FlowjaxError, match=message):
            dequantize(x, 0, **options)


COLLAPSE = {
    "milliseconds": (1_700_000_000_000 + RNG.integers(0, 60_000, N)[:, None], True),
    "large offset": (1.7e9 + NORMAL, True),
    "large offset, outlier": (np.where(np.arange(N)[:, None] == 7, 1e15, 1.7e9 + NORMAL), True),
    "large numbers": (1.7e9 * NORMAL, False),
    "small numbers": (1e-9 * NORMAL, False),
    "int64": (RNG.integers(-(2**40), 2**40, (N, 1)), False),
}


@pytest.mark.parametrize("name", COLLAPSE)
def test_a_column_that_collapses_in_float32_warns(name):
    column, collapses = COLLAPSE[name]
    rows = np.concatenate([NORMAL, column], axis=1)
    texts = [t for t in about_columns(ArraySource(NORMAL, rows)) if "float32" in t]
    assert bool(texts) == collapses
    if collapses:
        assert texts[0].startswith("context: ") and "spread in column 1; subtract" in texts[0]


def test_fit_warns_once_and_of_validation_too():
    rows = np.concatenate([NORMAL, 1.7e9 + NORMAL], axis=1)
    flow, options = flows.whitening(2), {"key": 0, "measured": False}
    for data, validation in ((rows, None), (NORMAL.repeat(2, 1), rows)):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            flowjax.fit(flow, data, validation=validation, **options)
        assert sum("float32 can distinguish" in str(w.message) for w in seen) == 1


X64 = """
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
import flowjax
from flowjax import flows
from flowjax.data.arrays import ArraySource
x = np.random.default_rng(0).normal(size=(500, 2)) + [1.7e9, 0]
y = x - [1.7e9, 0]
options = {"key": 0, "steps": 2, "batch_size": 48, "measured": False}
for name in ("whitening", "realnvp", "glow"):
    flow = flows.make(name, 2)
    for rows in (x, ArraySource(x, resident=False, weights=np.ones(500)), y.astype(np.float32)):
        params = flowjax.fit(flow, rows, **options).params
        leaves = jax.tree_util.tree_leaves_with_path(params)
        kinds = {a.dtype.name for path, a in leaves if "log_det" not in str(path)}
        nll = -float(flow.log_prob(params, y if "float32" in kinds else x).mean())
        assert len(kinds) == 1 and 2.6 < nll < 4, (name, kinds, nll)
        print(kinds)
"""


@pytest.mark.slow
def test_x64_is_honoured():
    done = subprocess.run([sys.executable, "-c", X64], capture_output=True, text=True)
    assert not done.returncode, done.stderr[-900:]
    assert done.stdout.split() == ["{'float64'}", "{'float64'}", "{'float32'}"] * 3


@pytest.mark.parametrize("key", [0, 1])  # the random bits of key 1 exceed an int64
def test_every_key_fits_in_float64(key):
    x = np.random.default_rng(0).normal(size=(40, 2))
    with jax.enable_x64(True):
        flow = flows.realnvp(2, depth=2, width=4)
        fitted = flowjax.fit(flow, x, key=key, steps=1, batch_size=8, measured=False)
        assert flow.log_prob(fitted.params, x).dtype == np.float64
