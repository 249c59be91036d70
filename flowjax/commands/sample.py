"""`flowjax sample`: random vectors from a fitted flow."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from flowjax.commands.flags import Positional
from flowjax.commands.outputs import check_output
from flowjax.config.ranges import SEED, Range


@dataclasses.dataclass(frozen=True)
class Args:
    """Draw plain vectors from a flow fitted by flowjax fit or fit-array."""

    run: Positional[str]
    """Run or model folder."""
    out: Path
    """Output file: .npy, .parquet or .safetensors; shape (n, d), float32."""
    n: Annotated[int, Range(1)] = 100
    """Number of vectors."""
    seed: Annotated[int, SEED] = 0
    """Seed of the random numbers."""
    overwrite: bool = False
    """Replace an existing file."""


def run(args: Args) -> None:
    """Runs the command."""
    import jax
    import numpy as np

    from flowjax.commands.transform import load_unconditional
    from flowjax.data.vectors import SUFFIXES, write_vectors

    check_output(args.out, overwrite=args.overwrite, suffixes=SUFFIXES)
    flow, params = load_unconditional(args.run)
    vectors = np.asarray(flow.sample(params, jax.random.key(args.seed), args.n))
    write_vectors(args.out, vectors)
    print(f"{vectors.shape[0]} x {vectors.shape[1]} float32: {args.out}")
