"""What the sub-commands share: process settings, signals, config defaults, run folders."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowjax.config import read_config, write_config

_stop_signal = 0


def tune_process() -> None:
    """Settings a command may choose for its user and a library may not; called before jax loads.

    Compiled programs are kept in the user's cache folder, so a second run starts at once. (The
    allocator's setting is in `flowjax.__main__`.)
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "flowjax" / "xla"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")


@contextmanager
def stopping() -> Iterator[None]:
    """Turns the first Ctrl-C or SIGTERM into a wish to stop, the second into a stop at once."""
    global _stop_signal
    _stop_signal = 0

    def handle(number: int, _: Any) -> None:
        global _stop_signal
        if _stop_signal or not _watched:
            _stop_signal = number
            raise KeyboardInterrupt
        _stop_signal = number
        print("stopping after this step; once more to stop at once", file=sys.stderr)

    before = {n: signal.signal(n, handle) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_watched = False


@contextmanager
def watched() -> Iterator[None]:
    """Around a loop that asks `wants_stop`: a signal lets it save first."""
    global _watched
    _watched = True
    try:
        yield
    finally:
        _watched = False


def wants_stop() -> bool:
    """Whether Ctrl-C or SIGTERM has arrived."""
    return _stop_signal != 0


def stop_code() -> int:
    """The exit code of a stopped command: 130 or 143."""
    return 128 + (_stop_signal or signal.SIGINT)


def defaults(kind: type, argv: list[str]) -> tuple[Any, list[str]]:
    """The `Args` that flags override: from the file of `--config`, where one is named.

    Returns:
        `(defaults or None, the other arguments)`.
    """
    base = getattr(kind, "CONFIG", None)
    if base is None:
        return None, argv
    rest, file = [], None
    i = 0
    while i < len(argv):
        if argv[i] == "--config" or argv[i].startswith("--config="):
            _, equals, value = argv[i].partition("=")
            if not equals:
                i += 1
                if i == len(argv):
                    raise ValueError("--config: expected a file in TOML after it")
                value = argv[i]
            file = value
        else:
            rest.append(argv[i])
        i += 1
    if file is None:
        return None, rest
    return kind.from_config(read_config(file, base)), rest  # type: ignore[attr-defined]


def sections(config: Any) -> dict[str, Any]:
    """A config's tables as keyword arguments."""
    return {f.name: getattr(config, f.name) for f in dataclasses.fields(config)}


def open_run(out: Path, config: Any, *, command: str, overwrite: bool) -> None:
    """Makes a run folder with its `config.toml`, or goes on in one of the same config.

    Of several processes the first does so, and the others wait for it.

    Raises:
        ValueError: the folder holds a finished model, another config, or something else.
    """
    from flowjax.parallel import processes

    with processes.first_alone() as first:
        if first:
            _open_run(out, config, command, overwrite)


def _open_run(out: Path, config: Any, command: str, overwrite: bool) -> None:
    file, partial = out / "config.toml", out / ".config.toml.partial"
    partial.unlink(missing_ok=True)  # of a run that was killed as it began
    if out.exists() and any(out.iterdir()):
        if overwrite:
            if not file.exists():
                raise ValueError(f"{out}: holds no run of flowjax; --overwrite expects one")
            shutil.rmtree(out)
        elif not file.exists():
            raise ValueError(f"{out}: exists and holds no run; expected a new folder")
        elif (out / "model").exists():
            raise ValueError(f"{out}: holds a finished run; expected a new folder or --overwrite")
        else:
            check_same(read_config(file, type(config)), config, out)
            return
    out.mkdir(parents=True, exist_ok=True)
    write_config(config, partial, f"flowjax {command} --config {file} --out {out}")
    os.replace(partial, file)


def check_same(found: Any, wanted: Any, out: Path) -> None:
    """Refuses to go on with a run under another config, naming the first field that differs."""
    for table in dataclasses.fields(wanted):
        a, b = getattr(found, table.name), getattr(wanted, table.name)
        for field in dataclasses.fields(b):
            old, new = getattr(a, field.name), getattr(b, field.name)
            if old != new:
                raise ValueError(
                    f"{out}: an unfinished run with {table.name}.{field.name} = {old!r}, expected "
                    f"{new!r}; use that, another folder, or --overwrite"
                )


def new_file(path: str | Path, overwrite: bool, suffixes: tuple[str, ...]) -> Path:
    """Checks an output file's name before any work is done.

    Raises:
        ValueError: of another kind, exists already, or its folder does not exist.
    """
    path = Path(path)
    if path.suffix not in suffixes:
        raise ValueError(f"--out {path}: expected a name ending in {', '.join(suffixes)}")
    if path.exists() and not overwrite:
        raise ValueError(f"--out {path}: exists already; expected a new name or --overwrite")
    if not path.parent.is_dir():
        raise ValueError(f"--out {path}: expected its folder {path.parent} to exist")
    return path


class MetricsFile:
    """`metrics.jsonl`: one JSON object a row, flushed as it is written, by the first process."""

    def __init__(self, path: Path) -> None:
        from flowjax.parallel import processes

        self._file = path.open("a+b", buffering=0) if processes.is_first() else None
        if self._file and self._file.tell():
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")  # ends a row that was cut by a kill

    def __call__(self, row: dict[str, Any]) -> None:
        """Appends a row."""
        if self._file:
            self._file.write(json.dumps(row).encode() + b"\n")


def fit_note(row: dict[str, float]) -> str:
    """What the progress bar says of a row of metrics."""
    return f"{row['bits_per_dim']:.4f} bits/dim {row['rows_per_s']:,.0f} rows/s"


def say(text: str) -> None:
    """A line for the person at the terminal, on standard error."""
    print(text, file=sys.stderr, flush=True)


def typed(name: str, args: Any) -> str:
    """The command as a line to repeat it with: the flags that are not at their defaults."""
    words = ["flowjax", name, str(args.run)]
    for field in dataclasses.fields(args):
        value = getattr(args, field.name)
        if field.name == "run" or value == field.default:
            continue
        flag = "--" + field.name.replace("_", "-")
        words += [flag] if value is True else [flag, str(value)]
    return shlex.join(words)
