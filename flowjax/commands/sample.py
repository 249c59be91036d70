"""`flowjax sample`: vectors drawn from a fitted flow."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tyro.conf import Positional

from flowjax.commands import common


@dataclasses.dataclass(frozen=True)
class Args:
    """Draw vectors from the density that was fitted (of sentences, or of `fit-array` rows)."""

    run: Positional[str]
    """A run or model folder."""
    out: Path
    """The .npy to write, (n, d) float32."""
    n: int = 100
    """How many."""
    seed: int = 0
    overwrite: bool = False
    """Replace the file that is there."""


def run(args: Args) -> None:
    """Runs the command."""
    import jax
    import numpy as np

    from flowjax.data.vectors import write_vectors
    from flowjax.model import BertFlow
    from flowjax.saving.flow import holds_flow, load_flow

    if args.n < 1:
        raise ValueError(f"--n: expected at least 1, got {args.n}")
    common.new_file(args.out, args.overwrite, (".npy",))
    if holds_flow(args.run):
        flow, params = load_flow(args.run)
        vectors = np.asarray(flow.sample(params, jax.random.key(args.seed), args.n))
    else:
        vectors = BertFlow.load(args.run).sample_vectors(args.n, seed=args.seed)
    write_vectors(args.out, vectors)
    print(f"{vectors.shape[0]} x {vectors.shape[1]} float32: {args.out}")
