"""`flowjax export`: a fitted model as a program that runs without flowjax."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from flowjax.commands.flags import Positional
from flowjax.errors import FlowjaxError


@dataclasses.dataclass(frozen=True)
class Args:
    """Write encoder, pooling and flow as one program that runs without flowjax.

    The program is StableHLO of jax.export, for any number of sentences. The
    folder also has the tokenizer, the weights, and a README.md with an example.
    """

    run: Positional[str]
    """Run or model folder of flowjax fit."""
    out: Path
    """Folder to write."""
    platforms: str = "cpu,cuda,tpu"
    """Platforms of the program, separated by commas: cpu, cuda, rocm, tpu."""
    overwrite: bool = False
    """Replace a folder of an earlier export."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.model import BertFlow
    from flowjax.saving.folder import check_folder
    from flowjax.saving.program import PROGRAM, check_platforms

    try:
        platforms = check_platforms(list(filter(None, args.platforms.split(","))))
    except FlowjaxError as error:
        raise FlowjaxError(f"--{error}") from None
    check_folder(args.out, overwrite=args.overwrite)
    BertFlow.load(args.run).export(args.out, platforms=platforms, overwrite=args.overwrite)
    size = sum(file.stat().st_size for file in args.out.iterdir())
    print(f"{args.out / PROGRAM}: {', '.join(platforms)}; {size / 1e6:.0f} MB with the weights")
