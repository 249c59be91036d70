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
    """Draw vectors from a flow that was fitted by flowjax fit or flowjax fit-array."""

    run: Positional[str]
    """Run or model folder."""
    out: Path
    """Output file: .npy, shape (n, d), float32."""
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

    from flowjax.data.vectors import write_vectors
    from flowjax.model import BertFlow
    from flowjax.saving.flow import holds_flow, load_flow

    check_output(args.out, overwrite=args.overwrite, suffixes=(".npy",))
    if holds_flow(args.run):
        flow, params = load_flow(args.run)
        vectors = np.asarray(flow.sample(params, jax.random.key(args.seed), args.n))
    else:
        vectors = BertFlow.load(args.run).sample_vectors(args.n, seed=args.seed)
    write_vectors(args.out, vectors)
    print(f"{vectors.shape[0]} x {vectors.shape[1]} float32: {args.out}")
