"""Reader of `model.safetensors`, by the safetensors library."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def read(file: Path) -> dict[str, np.ndarray]:
    """Reads a safetensors file; bfloat16 tensors have the dtype `ml_dtypes.bfloat16`."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        return {name: opened.get_tensor(name) for name in opened.keys()}
