"""`flowjax info`: versions, devices, and what a run was fitted on."""

from __future__ import annotations

import dataclasses
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tyro.conf import Positional

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "transformers", "tokenizers",
            "tensorflow-datasets", "safetensors", "numpy", "scipy")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Args:
    """Show versions and devices, and what a run was fitted on."""

    run: Positional[Path | None] = None
    """A run or model folder."""
    json: bool = False
    """As JSON."""


def run(args: Args) -> None:
    """Runs the command."""
    facts = environment()
    if args.run is not None:
        facts["run"] = describe_run(args.run)
    if args.json:
        print(json.dumps(facts, indent=2))
        return
    for name, value in _flat(facts):
        print(f"{name:<28} {value}")


def environment() -> dict[str, Any]:
    """Versions of what is installed, and the devices."""
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
    """What a run or model folder holds.

    Raises:
        ValueError: neither of them.
    """
    model = folder / "model" if (folder / "model").is_dir() else folder
    if (model / "config.json").exists():
        try:
            config: dict[str, Any] = json.loads((model / "config.json").read_text("utf-8"))
        except ValueError as error:
            raise ValueError(f"{model / 'config.json'}: expected JSON: {error}") from None
        return config
    if (folder / "config.toml").exists():
        from flowjax.training.checkpoint import saved_steps

        return {"state": "unfinished", "checkpoints": saved_steps(folder / "checkpoints")}
    raise ValueError(f"{folder}: expected a run or model folder, found neither")


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value))
    return rows
