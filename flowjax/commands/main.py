"""Command `flowjax`: runs a sub-command and reports each error as one line on standard error.

Exit codes: 0 for success, 2 for a user's error, 1 for a failure of the machine or of the numerics,
130 for Ctrl-C, 143 for SIGTERM and 129 for SIGHUP, after the training state was saved.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from flowjax._version import __version__
from flowjax.commands import environment

# Name and one line of help; commands/NAME.py has an `Args` dataclass and a `run(args)`.
COMMANDS = {
    "demo": "check and fit on the embedded text, offline, in under a minute",
    "check": "measure whether calibration helps on your sentences, without labels",
    "fit": "fit a flow on the vectors of your sentences",
    "encode": "write the vectors of sentences to .npy, .parquet or .safetensors",
    "evaluate": "compare plain, standardized, whitened, calibrated vectors on tasks",
    "analyze": "report on the vectors before and after the flow, with figures",
    "score": "print the log-density of each sentence or row",
    "search": "print the sentences of a corpus that are nearest to queries",
    "sample": "draw vectors from a fitted flow",
    "fit-array": "fit a flow on any (n, d) array",
    "transform": "map the rows of any array through a fitted flow",
    "plot": "draw the training curves of a run",
    "export": "write a fitted model as a program that runs without flowjax",
    "rank": "rank encoders by their vectors of sentences, without labels",
    "pretrain": "pretrain a small BERT on text",
    "finetune": "fine-tune an encoder on pairs, or on plain sentences",
    "compile": "compile the programs of a run for chips that are not present",
    "info": "print versions, devices, and the training data of a run",
}

# Commands that a cluster launcher can start as several processes of one job.
DISTRIBUTED = {"fit", "fit-array", "pretrain", "finetune"}
RESUMABLE = {*DISTRIBUTED, "encode", "transform"}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code."""
    environment.open_closed_streams()
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(_help())
        return 0 if args else 2
    if args[0] in ("-V", "--version"):
        print(f"flowjax {__version__}")
        return 0
    name = args[0]
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        return _report("flowjax", f"command: expected one of {known}, got {name!r}")
    code = _run(name, args[1:])
    if code and name in DISTRIBUTED:
        from flowjax.parallel import launch

        launch.leave(code)  # returns if this is the only process
    return code


def _run(name: str, rest: list[str]) -> int:
    from flowjax.commands import signals, terminal

    prog = f"flowjax {name}"
    environment.set_defaults()
    level, rest = terminal.verbosity(rest)
    try:
        from flowjax.commands.flags import parse_flags
        from flowjax.commands.storage import localized

        module = importlib.import_module(f"flowjax.commands.{name.replace('-', '_')}")
        args = parse_flags(module.Args, prog, rest)
        if name in DISTRIBUTED:
            from flowjax.parallel import launch

            launch.initialize()
        with (
            environment.quiet_threads(),
            signals.handled(),
            terminal.reporting(prog, level),
            localized(args, name) as local,
        ):
            module.run(local)
        sys.stdout.flush()
        return 0
    except SystemExit as stop:  # --help
        return int(stop.code or 0)
    except KeyboardInterrupt as stop:
        again = "; repeat the command to resume" if name in RESUMABLE else ""
        return _report(prog, str(stop) or f"stopped{again}", code=signals.exit_code())
    except BrokenPipeError:  # the reader of standard output ended, for example `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, FileExistsError) as error:
        return _report(prog, str(error))
    except OSError as error:
        return _report(prog, _reason(error), code=1)
    except FloatingPointError as error:
        return _report(prog, str(error), code=1)
    except MemoryError as error:
        return _report(prog, str(error) or "expected more memory, got none", code=1)


def _reason(error: OSError) -> str:
    """Returns `PATH: REASON` for an error of the operating system; else the text of the error."""
    if error.errno is None or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _report(prog: str, message: str, code: int = 2) -> int:
    from flowjax.commands import terminal
    from flowjax.files.folders import with_urls

    terminal.message(f"{prog}: {with_urls(' '.join(message.split()))}")
    return code


def _help() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            f"flowjax {__version__}: sentence vectors of a frozen BERT, calibrated by a flow",
            "",
            "usage: flowjax COMMAND [flags]      (flowjax COMMAND --help lists the flags)",
            "",
            *(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()),
            "",
            "Flags of every command: --quiet (only results and errors), --verbose (details).",
        ]
    )
