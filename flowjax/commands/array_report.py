"""Inputs of the report of `flowjax analyze --array`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax import flows
from flowjax.commands.report_inputs import fit_text, versions
from flowjax.commands.transform import load_unconditional, open_plain
from flowjax.config import FitArrayConfig
from flowjax.config import read_config as read_toml
from flowjax.data.blocks import RowBlocks
from flowjax.fitting.passes import moments_of_rows
from flowjax.flows.arrays import ROWS, ArrayCalls
from flowjax.flows.recipe import options_of
from flowjax.report.arrays import array_page
from flowjax.report.blocks import Page
from flowjax.report.inputs import ReportedModel, RunVectors
from flowjax.saving.folder import read_config
from flowjax.types import Flow, Params


def page_of_array(run: str, array: str, columns: str | None, *, command: str, rows: int) -> Page:
    """Returns the page of the report of an array.

    Args:
        run: run or model folder.
        array: path of the array file or embedding store.
        columns: columns or tensor of the file; None means the only one.
        command: command line of the user.
        rows: maximum number of vectors for the isotropy measures and the figures.

    Raises:
        FlowjaxError: The run or the array cannot be read, or their dimensions differ.
    """
    flow, params = load_unconditional(run)
    source = open_plain(array, columns, flow.dim, run)
    moments = moments_of_rows(source)
    maps: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "plain": lambda x: np.asarray(x, np.float32)
    }
    log_probs = {flow.name: _log_probs(flow, params, source)}
    for name in ("standardize", "whitening"):
        other = flows.make(name, flow.dim, moments=moments)
        fitted = other.init(jax.random.key(0), jnp.zeros((2, flow.dim)))
        maps[f"{name} of the array"] = _forward(other, fitted)
        if name == "whitening":
            log_probs["Gaussian of the array"] = _log_probs(other, fitted, source)
    maps[flow.name] = _forward(flow, params)
    known = options_of(flow.name) if flow.recipe.options else {}
    options = "".join(
        f", {name} {value}"
        for name, value in (flow.recipe.options or {}).items()
        if value != known[name].default
    )
    provenance = [
        ("Array", f"{array}: {source.size:,} x {source.dim}"),
        ("Flow", f"{flow.name}{options}, of {run}"),
        *_fit_of(Path(run)),
        ("Versions", versions()),
    ]
    about = {"run": run, "flow": flow.name, "array": array, "shape": [source.size, source.dim]}
    model = ReportedModel(array, "", flow.name, maps, provenance, about)
    vectors = RunVectors(source.rows, None, f"{source.size:,} vectors of {array}")
    return array_page(model, vectors, log_probs, command=command, rows=rows)


def _fit_of(run: Path) -> list[tuple[str, str]]:
    """Returns the data, the steps and the seed of the fit of a run or of a model folder."""
    saved = read_config(run) or {}
    facts = saved.get("fitted_on", {})
    config = None
    with contextlib.suppress(ValueError, OSError):
        config = read_toml(run / "config.toml", FitArrayConfig)
    found = []
    if "data" in facts:
        count = f": {facts['examples']:,} examples" if "examples" in facts else ""
        found.append(("Fitted on", f"{facts['data']}{count}"))
    seed = config.train.seed if config else saved.get("seed", "not recorded")
    return [*found, ("Fit", fit_text(facts, config, "examples")), ("Seed", str(seed))]


def _forward(flow: Flow, params: Params) -> Callable[[np.ndarray], np.ndarray]:
    calls = ArrayCalls(flow)
    return lambda x: calls.forward(params, x)


def _log_probs(flow: Flow, params: Params, source: Any) -> np.ndarray:
    calls = ArrayCalls(flow)
    return np.concatenate([calls.log_prob(params, block) for block in RowBlocks(source, ROWS)])
