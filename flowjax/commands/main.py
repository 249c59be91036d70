"""The command `flowjax`: finds the sub-command, and turns what goes wrong into one line.

Exit 0 when done, 2 for a user's mistake, 1 for a failure of the machine or the numbers, 130 on
Ctrl-C and 143 on SIGTERM after saving what there is.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from typing import Any

from flowjax._version import __version__

# name -> one line of help; the module is commands/NAME.py with an `Args` and a `run(args)`.
COMMANDS = {
    "demo": "the main job on embedded data: fit, evaluate, plots; offline, in minutes",
    "fit": "fit a flow on the vectors of your sentences",
    "encode": "turn sentences into calibrated vectors: .npy, .parquet or .safetensors",
    "evaluate": "STS, SICK and QNLI: plain, standardized, whitened and calibrated vectors",
    "analyze": "isotropy of a run's vectors before and after, with pictures",
    "score": "log-density of each sentence",
    "sample": "draw vectors from a fitted flow",
    "fit-array": "fit a flow on any (n, d) array",
    "plot": "draw a run's training curves",
    "pretrain": "pretrain a small BERT on text",
    "info": "versions, devices, and what a run was fitted on",
}

# Those that run on several processes together, where a launcher started some.
DISTRIBUTED = {"fit", "fit-array", "pretrain"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        return 0 if args else 2
    if args[0] in ("-V", "--version"):
        print(f"flowjax {__version__}")
        return 0
    name = args[0]
    if name not in COMMANDS:
        return _complain("flowjax", f"no command {name!r}; expected one of {', '.join(COMMANDS)}")
    code = _run(name, args[1:])
    if code and name in DISTRIBUTED:
        from flowjax.parallel import launch

        launch.leave(code)  # comes back where this is the only process
    return code


def _run(name: str, rest: list[str]) -> int:
    from flowjax.commands import common

    prog = f"flowjax {name}"
    common.tune_process()
    logging.basicConfig(format="flowjax: %(message)s", level=logging.WARNING, stream=sys.stderr)
    module = importlib.import_module(f"flowjax.commands.{name.replace('-', '_')}")
    try:
        args = _parse(module, prog, rest)
        if name in DISTRIBUTED:
            from flowjax.parallel import launch

            launch.initialize()
        with common.stopping():
            module.run(args)
        sys.stdout.flush()
        return 0
    except SystemExit as stop:
        return int(stop.code or 0)
    except KeyboardInterrupt as stop:
        return _complain(prog, str(stop) or "stopped", code=common.stop_code())
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except FloatingPointError as error:
        return _complain(prog, str(error), code=1)
    except (ValueError, FileExistsError) as error:
        return _complain(prog, str(error))
    except OSError as error:
        return _complain(prog, str(error), code=1)


def _parse(module: Any, prog: str, rest: list[str]) -> Any:
    """Parses flags with tyro; its boxed error becomes one line."""
    import tyro

    from flowjax.commands import common

    defaults = common.defaults(module.Args, rest)
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(module.Args, prog=prog, args=defaults[1], default=defaults[0])
    except SystemExit as stop:
        if stop.code:
            raise ValueError(_one_line(said.getvalue())) from None
        raise


def _one_line(box: str) -> str:
    """The first paragraph inside tyro's box, as one line."""
    lines = [line.strip("│╭╮╰╯ ").strip() for line in box.splitlines()]
    text: list[str] = []
    for line in lines[1:]:
        if re.fullmatch(r"[─ ]*", line) or line.startswith("Got errors"):
            break
        text.append(line)
    return re.sub(r"\s+", " ", " ".join(text)).strip() or "the flags could not be read"


def _complain(prog: str, message: str, code: int = 2) -> int:
    print(f"{prog}: {' '.join(message.split())}", file=sys.stderr)
    return code


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            f"flowjax {__version__}: sentence vectors of a frozen BERT, calibrated by a flow",
            "",
            "usage: flowjax COMMAND [flags]      (flowjax COMMAND --help)",
            "",
            *lines,
        ]
    )
