"""A flow of rows in a folder: what `fit-array` leaves, and how to have it back in Python."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flowjax import flows
from flowjax.bijectors.moments import Moments
from flowjax.saving.params import load_params, save_params
from flowjax.types import Flow, FlowjaxError, Params

FORMAT = 2  # of 1, LU layers had other fixed permutations and wide repeats were stacked


def save_flow(
    folder: str | Path,
    params: Params,
    *,
    name: str,
    dim: int,
    options: Mapping[str, Any],
    context_width: int | None = None,
) -> Path:
    """Writes a fitted recipe: `config.json` and `flow.safetensors`; the whole folder or none.

    Args:
        folder: a new one.
        params: what `fit` gave.
        name: the recipe, for `flows.make`.
        dim: size of a data vector.
        options: the recipe's keyword arguments, such as `{"depth": 4}`: names and numbers.
        context_width: of the context that it was fitted with, if any.

    Returns:
        The folder.

    Raises:
        FlowjaxError: the folder exists; an option that is a function, a `Base` or the like.

    Example:
        >>> import tempfile
        >>> flow = flows.make("realnvp", 2, depth=2, width=8)
        >>> params = flow.init(jax.random.key(0), np.ones((3, 2)))
        >>> folder = Path(tempfile.mkdtemp()) / "model"
        >>> made = dict(name="realnvp", dim=2, options={"depth": 2, "width": 8})
        >>> again, loaded = load_flow(save_flow(folder, params, **made))
        >>> again.log_prob(loaded, np.zeros((1, 2))).shape
        (1,)
    """
    folder = Path(folder)
    if folder.exists():
        raise FlowjaxError(f"{folder}: exists already; expected a new folder")
    finished = isinstance(params, dict) and "latents" in params
    spec = {"format": FORMAT, "array_flow": name, "options": dict(options), "dim": dim}
    try:
        text = json.dumps({**spec, "context_width": context_width, "finished": finished}, indent=2)
    except TypeError as error:
        raise FlowjaxError(f"options: expected names and numbers: {error}") from None
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed as it ended
    partial.mkdir(parents=True)
    save_params(params, partial / "flow.safetensors")
    (partial / "config.json").write_text(text + "\n", "utf-8")
    partial.rename(folder)
    return folder


def holds_flow(folder: str | Path) -> bool:
    """Whether a run or model folder is one of `fit-array`, and not of sentences.

    Example:
        >>> holds_flow("nowhere")
        False
    """
    try:
        spec = json.loads(_config(Path(folder)).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(spec, dict) and "array_flow" in spec


def load_flow(folder: str | Path) -> tuple[Flow, Params]:
    """Reads a fitted flow of rows back.

    Args:
        folder: a run of `flowjax fit-array`, its `model/`, or what `save_flow` wrote.

    Returns:
        `(flow, params)`; `flow.log_prob(params, x)` is in nats.

    Raises:
        FlowjaxError: another kind of folder, of another format, or damaged.

    Example:
        >>> try:
        ...     load_flow("nowhere")
        ... except ValueError as error:
        ...     print(error)
        nowhere/config.json: expected a flow that fit-array fitted, found none
    """
    file = _config(Path(folder))
    if not holds_flow(folder):
        raise FlowjaxError(f"{file}: expected a flow that fit-array fitted, found none")
    spec = json.loads(file.read_text("utf-8"))
    if spec.get("format") != FORMAT:
        raise FlowjaxError(
            f"{file}: expected format {FORMAT}, got {spec.get('format')!r}; fit it again"
        )
    try:
        flow = flows.make(spec["array_flow"], spec["dim"], **spec["options"])
        shapes = shapes_of(flow, finished=spec["finished"], context_width=spec["context_width"])
    except (KeyError, TypeError) as error:
        raise FlowjaxError(f"{file}: damaged: {error!r}") from None
    return flow, load_params(file.with_name("flow.safetensors"), shapes)


def shapes_of(flow: Flow, *, finished: bool, context_width: int | None = None) -> Any:
    """The structure and shapes of a flow's params; finished ones have their closed form too.

    Example:
        >>> sorted(shapes_of(flows.glow(2), finished=True))
        ['base', 'bijector', 'latents']
    """
    x = jax.ShapeDtypeStruct((2, flow.dim), np.float32)
    context = None
    if context_width is not None:
        context = jax.ShapeDtypeStruct((2, context_width), np.float32)
    shapes = jax.eval_shape(flow.init, jax.random.key(0), x, context)
    if flow.finish is None or not finished:
        return shapes
    dim = flow.latent_dim or flow.dim
    return flow.finish(shapes, Moments(2, np.zeros(dim), np.eye(dim)))


def _config(folder: Path) -> Path:
    return (folder / "model" if (folder / "model").is_dir() else folder) / "config.json"
