"""`flowjax info`: versions, devices, and the training data of a run."""

from __future__ import annotations

import dataclasses
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from flowjax.commands.flags import Positional
from flowjax.errors import FlowjaxError

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "transformers", "tokenizers",
            "tensorflow-datasets", "safetensors", "numpy", "scipy")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Args:
    """Print versions and devices, and the flow and training data of a run."""

    run: Positional[Path | None] = None
    """Run or model folder."""
    json: bool = False
    """Print JSON."""


def run(args: Args) -> None:
    """Runs the command."""
    facts = environment()
    if args.run is not None:
        facts["run"] = describe_run(args.run)
    if args.json:
        print(json.dumps(facts, indent=2))
        return
    print("\n".join(_lines(facts)))


def environment() -> dict[str, Any]:
    """Returns the versions of the installed packages, and the devices."""
    import platform

    import jax

    from flowjax._version import __version__

    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {
        "flowjax": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "devices": ", ".join(f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()),
        "packages": found,
    }


def describe_run(folder: Path) -> dict[str, Any]:
    """Returns the config of a model with facts about its fit, or the state of an unfinished run.

    Raises:
        FlowjaxError: The folder holds neither, or its config cannot be read.
    """
    from flowjax.saving.folder import read_config

    if (config := read_config(folder)) is not None:
        flow = {name: config["flow"].get(name) for name in ("recipe", "dim", "context_width")}
        options = config["flow"].get("options") or {}
        flow["options"] = {name: value for name, value in options.items() if value is not None}
        facts = {name: value for name, value in config.items() if name != "files"}  # digests
        return {"state": "finished", **facts, "flow": flow, **random_pairs(folder)}
    if (folder / "config.toml").exists():
        from flowjax.training.checkpoint import saved_steps

        return {"state": "unfinished", "checkpoints": saved_steps(folder / "checkpoints")}
    raise FlowjaxError(f"{folder}: expected a run or model folder, got neither")


def random_pairs(folder: Path) -> dict[str, Any]:
    """Returns thresholds on the cosine by false-positive rate; {} for a model without them."""
    from flowjax.calibration.scores import Scores
    from flowjax.saving.folder import find_folder
    from flowjax.saving.model import SCORES_FILE
    from flowjax.saving.params import load_arrays

    file = find_folder(folder) / SCORES_FILE
    if not file.exists():
        return {}
    null = Scores.from_arrays(load_arrays(file), str(file)).null
    thresholds = {f"{100 * r:g}%": round(null.threshold(r), 4) for r in (0.05, 0.01, 0.001)}
    return {"cosine_threshold": thresholds, "cosine_threshold_sentences": null.sentences}


def _lines(values: dict[str, Any], indent: str = "") -> list[str]:
    """Returns the facts as lines, nested dicts indented; of a selection only its result."""
    lines = []
    for name, value in values.items():
        if isinstance(value, dict):
            if "table" in value:
                value = {"name": value["name"], "advice": value["advice"], "table": "see --json"}
            # `encoder` in the table of the encoder is its name.
            value = {"name" if key == name else key: entry for key, entry in value.items()}
            lines += [f"{indent}{name}:", *_lines(value, indent + "  ")] if value else []
        else:
            text = f"{value:.5g}" if isinstance(value, float) else str(value)
            text = "none" if value is None else text
            lines.append(f"{indent}{name:<{28 - len(indent)}} {text}")
    return lines
