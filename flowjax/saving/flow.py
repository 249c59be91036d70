"""Saved flows: `save_flow`, `load_flow`, and the `config.json` entry of a flow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from flowjax import flows
from flowjax.flows.recipe import translated
from flowjax.saving.folder import (
    CONFIG,
    check_files,
    find_folder,
    local_folder,
    new_folder,
    no_config,
    read_config,
)
from flowjax.saving.params import load_params, save_params
from flowjax.types import Flow, FlowjaxError, Params

FILE = "flow.safetensors"


def save_flow(
    folder: str | Path,
    flow: Flow,
    params: Params,
    *,
    overwrite: bool = False,
    fitted_on: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a flow and its parameters to a folder: `config.json` and `flow.safetensors`.

    Args:
        folder: path of a new folder.
        flow: flow of a recipe, or a composed flow, which must also be passed to `load_flow`.
        params: parameters from `fit` or `flow.init`.
        overwrite: True replaces a folder of an earlier save, unless it contains other files.
        fitted_on: facts about the fit as JSON values, such as the data and the likelihood, which
            `flowjax info` prints.

    Returns:
        The path of the folder.

    Raises:
        FlowjaxError: The folder is not empty, and `overwrite` is False or the folder contains
            files that were not saved with it; or the parameters do not belong to this flow.

    Example:
        >>> import tempfile
        >>> flow, x = flows.realnvp(2, depth=2, width=8), np.ones((3, 2))
        >>> folder = Path(tempfile.mkdtemp()) / "model"
        >>> _ = save_flow(folder, flow, flow.init(jax.random.key(0), x))
        >>> again, params = load_flow(folder)
        >>> again.log_prob(params, x).shape
        (3,)
    """
    config = {"flow": describe_flow(flow, params), "fitted_on": dict(fitted_on or {})}
    with new_folder(folder, config, overwrite=overwrite) as partial:
        save_params(params, partial / FILE)
    return Path(folder)


def load_flow(folder: str | Path, flow: Flow | None = None) -> tuple[Flow, Params]:
    """Reads a flow and its parameters from a folder.

    Args:
        folder: folder of `save_flow`, run folder, or folder of a sentence model, whose encoder is
            not loaded.
        flow: the saved flow if it is a composed flow; its layers must equal the saved layers.

    Returns:
        `(flow, params)`; `flow.log_prob(params, x)` is in nats.

    Raises:
        FlowjaxError: The folder does not exist, has another format or is damaged, or `flow` has
            other layers.

    Example:
        >>> load_flow("nowhere")
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: nowhere: expected a saved flow, got no such folder
    """
    folder = local_folder(folder)
    found, config = find_folder(folder), read_config(folder)
    if config is None:
        raise no_config(folder, "a saved flow")
    return read_flow(found, config, flow)


def holds_flow(folder: str | Path) -> bool:
    """Returns True if a run or model folder contains a flow without an encoder.

    Raises:
        FlowjaxError: The config of the folder cannot be read or has another format.

    Example:
        >>> holds_flow("nowhere")
        False
    """
    config = read_config(local_folder(folder))
    return config is not None and "encoder" not in config


def describe_flow(flow: Flow, params: Params) -> dict[str, Any]:
    """Returns the `config.json` entry of a flow, which `load_flow` builds or verifies.

    Raises:
        FlowjaxError: The parameters do not belong to this flow.

    Example:
        >>> flow = flows.realnvp(3, depth=2, width=8)
        >>> entry = describe_flow(flow, flow.init(jax.random.key(0), np.ones((2, 3))))
        >>> entry["recipe"], entry["options"]["depth"], entry["dim"], entry["context_width"]
        ('realnvp', 2, 3, None)
    """
    return {
        "recipe": flow.name,
        "options": _json_options(flow.recipe.options),
        "dim": flow.dim,
        "context_width": _context_width(flow, params),
        "layers": list(flow.layers),
        "digest": digest(flow),
    }


def read_flow(folder: Path, config: Mapping[str, Any], flow: Flow | None) -> tuple[Flow, Params]:
    """Returns the flow and the parameters in a folder, given the content of `config.json`.

    Args:
        folder: folder that contains `config.json`.
        config: content of `config.json`.
        flow: the saved flow if it is a composed flow; else None.

    Raises:
        FlowjaxError: See `load_flow`.

    Example:
        >>> read_flow(Path("nowhere"), {}, None)
        Traceback (most recent call last):
            ...
        flowjax.errors.FlowjaxError: nowhere/config.json: cannot be read: KeyError('flow')
    """
    file = folder / CONFIG
    try:
        entry = config["flow"]
        name, options, dim, layers = (entry[k] for k in ("recipe", "options", "dim", "layers"))
        wanted, width = entry["digest"], entry["context_width"]
        if flow is None and options is None:
            raise FlowjaxError(
                f"flow: expected the flow that was saved, because {name!r} in {file} is composed "
                "or has options that are functions; got None"
            )
        present = options if flow is not None else translated(name, options)
        flow = flows.make(name, dim, **present) if flow is None else flow
    except (KeyError, TypeError, AttributeError) as error:
        raise FlowjaxError(f"{file}: cannot be read: {error!r}") from None
    # The text of a layer may have changed since an earlier release; its arrays have not.
    lines = flow.layers if present == options else layers
    if flow.dim != dim or digest(flow, lines) != wanted:
        got = f"a flow of dim {flow.dim}, {' | '.join(flow.layers)}"
        if flow.dim == dim and list(flow.layers) == layers:
            got = (
                "the same layers with other permutations; fit it again, or use the versions of "
                "flowjax and NumPy that saved it"
            )
        saved = f"the flow that was saved (dim {dim}), {' | '.join(layers)}"
        raise FlowjaxError(f"{file}: expected {saved}; got {got}")
    check_files(folder, config)
    shapes = _shapes(flow, width)
    if present == options or present.get("power", 1) == 1:
        return flow, load_params(folder / FILE, shapes)
    # Earlier releases had no variances in the base of a whitening with beta < 1.
    base = shapes["base"]
    params = load_params(folder / FILE, shapes | {"base": base["base"]})
    rest = jax.tree.map(lambda p: np.zeros(p.shape, p.dtype), base["bijector"])
    return flow, params | {"base": {"base": params["base"], "bijector": rest}}


def digest(flow: Flow, layers: Iterable[str] | None = None) -> str:
    """Returns a hash of the layers of a flow and of the arrays drawn with NumPy's generator.

    NumPy may change its random streams between versions; the hash then changes.

    Args:
        flow: any flow.
        layers: lines of the summary; None means the lines of the flow.

    Example:
        >>> digest(flows.glow(4, seed=0)) == digest(flows.glow(4, seed=1))
        False
    """
    sha = hashlib.sha256(f"dim {flow.dim}\n".encode())
    sha.update("\n".join(flow.layers if layers is None else layers).encode())
    for array in () if flow.bijector is None else flow.bijector.constants(flow.dim):
        sha.update(f"\n{array.shape}".encode() + np.asarray(array, "<i8").tobytes())
    return sha.hexdigest()


def _json_options(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Returns options as JSON values; None if an option is not serializable, e.g. a function."""
    try:
        text = json.dumps(options, default=lambda number: number.item())
        values: dict[str, Any] | None = json.loads(text)
        return values
    except (TypeError, AttributeError, ValueError):
        return None


def _shapes(flow: Flow, context_width: int | None) -> Params:
    x = jax.ShapeDtypeStruct((2, flow.dim), np.float32)
    if context_width is None:
        return jax.eval_shape(flow.init, jax.random.key(0), x)
    context = jax.ShapeDtypeStruct((2, context_width), np.float32)
    return jax.eval_shape(flow.init, jax.random.key(0), x, context)


def _context_width(flow: Flow, params: Params) -> int | None:
    """Returns the width of the context that conditions a flow; None for an unconditional flow.

    The width follows from the shapes of the parameters.
    """
    got = [np.shape(leaf) for leaf in jax.tree.leaves(params)]
    paths = [str(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]

    def fits(width: int | None) -> bool:
        try:
            shapes = _shapes(flow, width)
        except FlowjaxError:  # a conditional base needs a context
            return False
        names = [str(path) for path, _ in jax.tree_util.tree_leaves_with_path(shapes)]
        return names == paths and [leaf.shape for leaf in jax.tree.leaves(shapes)] == got

    if fits(None):
        return None
    # A context enlarges the first kernel of each conditioner by the same number of rows.
    expected = [leaf.shape for leaf in jax.tree.leaves(_shapes(flow, 1))]
    excess = {
        b - a
        for one, other in zip(expected, got, strict=False)
        for a, b in zip(one, other, strict=False)
        if a != b
    }
    width = 1 + (excess.pop() if len(excess) == 1 else 0)
    if width < 1 or not fits(width):
        raise FlowjaxError(
            f"params: expected the parameters of this flow ({flow.name}, dim {flow.dim}), got "
            "other names or shapes"
        )
    return width
