"""Run folders with `config.toml` and `metrics.jsonl`, and the progress bar of a training run."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from flowjax.commands.signals import stopping_loop
from flowjax.config import FitConfig, read_config, write_config
from flowjax.errors import FlowjaxError
from flowjax.files.lock import locked
from flowjax.files.replace import entries, named, replacing, temporary
from flowjax.saving.folder import run_command, saved_files

CONFIG, LOCK = "config.toml", ".lock"
ENCODER_FILES = ("config.json", "model.safetensors", "tokenizer.json", "pretrain.*")
# Patterns of the files that the commands write to a run folder; `*` also matches subfolders.
RUN_FILES = (
    *(
        CONFIG,
        LOCK,
        ".config.toml.*partial",
        "metrics.jsonl",
        ".replaced.*.partial/*",
        ".model.*.partial/*",
    ),
    *("checkpoints/[0-9]*/*", "checkpoints/_*", "checkpoints/.lock"),
    *("embeddings/manifest.json", "embeddings/vectors.npy", "embeddings/journal-*.jsonl"),
    *("embeddings/.manifest.*.partial", "embeddings/.lock-*"),
)
PRETRAIN_FILES = (
    *("train.npy*", "heldout.npy*", "ppmi.npy", "ppmi.partial.npy", "tokenizer/tokenizer.json*"),
    *(f"model/{name}" for name in ENCODER_FILES),
    *(f"encoders/[0-9]*/{name}" for name in ENCODER_FILES),
)
# Files of the encoder that `finetune` writes.
FINETUNE_FILES = tuple(
    f"model/{name}"
    for name in (
        *("config.json", "model.safetensors", "tokenizer.json", "modules.json", "README.md"),
        *("1_Pooling/config.json", "sentence_bert_config.json", "finetune.json"),
        "config_sentence_transformers.json",
    )
)
OTHER_FILES = {"pretrain": PRETRAIN_FILES, "finetune": FINETUNE_FILES}


@contextmanager
def open_run(out: Path, config: Any, *, command: str, overwrite: bool) -> Iterator[None]:
    """Context manager of a run folder, which other processes cannot use at the same time.

    Makes the folder with its `config.toml`, or accepts an unfinished run of the same config. A run
    without saved training state may have another config. Process 0 does so, and the other
    processes of a job wait for it.

    Args:
        out: the run folder.
        config: config of the run.
        command: command with its positional arguments, for the first line of `config.toml`.
        overwrite: True replaces the files of an existing run; other files are kept.

    Raises:
        FlowjaxError: The folder holds a finished run, a run of another config, or other files, or
            another process uses it.
    """
    from flowjax.parallel import processes

    with ExitStack() as stack:
        with processes.first_alone() as first:
            if first:
                name = command.split()[0]
                check_run(out, config, command=name, overwrite=overwrite)
                out.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(out / LOCK, out))
                check_run(out, config, command=name, overwrite=overwrite)
                _prepare(out, config, command, overwrite)
        yield


def check_run(out: Path, config: Any, *, command: str, overwrite: bool) -> None:
    """Checks that a run with this config can start or resume in a folder; changes no file.

    Args:
        out: the run folder.
        config: config of the run.
        command: name of the command.
        overwrite: True replaces the files of an existing run.

    Raises:
        FlowjaxError: See `open_run`.
    """
    own, others = run_files(out)
    if out.exists() and not out.is_dir():
        raise FlowjaxError(f"{out}: expected a folder, got a file")
    if not own and not others:
        return
    found = run_command(out)
    if found is None and (others or own - {LOCK, ".config.toml.partial"}):
        raise FlowjaxError(f"{out}: expected a new folder or a run, got a folder of other files")
    if overwrite or not has_state(out):
        within = {name.partition("/")[0] for name in own}
        for name in sorted(others):
            if name.partition("/")[0] in within:
                raise FlowjaxError(
                    f"{out}: expected only files of the run in its subfolders, got {name}; move "
                    "that file, or use another folder"
                )
    elif (out / "model").exists():
        raise FlowjaxError(f"{out}: expected a new folder, got a finished run; use --overwrite")
    elif found != command:
        raise FlowjaxError(
            f"{out}: expected a run of flowjax {command}, got one of flowjax {found}; use another "
            "folder, or --overwrite"
        )
    else:
        check_same(read_config(out / CONFIG, type(config)), config, out)


def has_state(out: Path) -> bool:
    """Returns True if a run folder has a model, or a checkpoint after the first step."""
    from flowjax.training.checkpoint import saved_steps

    return (out / "model").exists() or any(saved_steps(out / "checkpoints"))


def run_files(out: Path) -> tuple[set[str], set[str]]:
    """Returns the files below a run folder: those that flowjax wrote, and all others."""
    found = set(entries(out))
    saved = {f"model/{name}" for name in saved_files(out / "model") or ()}
    patterns = RUN_FILES + OTHER_FILES.get(run_command(out) or "", ())
    own = {name for name in found if name in saved or any(fnmatch(name, p) for p in patterns)}
    return own, found - own


def _prepare(out: Path, config: Any, command: str, overwrite: bool) -> None:
    if overwrite or not has_state(out):
        from flowjax.training.checkpoint import remove_remote_steps

        own = run_files(out)[0] - {LOCK}
        remove_remote_steps(out / "checkpoints")
        _remove(out, own if overwrite else own - _prepared(out, config, own))
    elif read_config(out / CONFIG, type(config)) == config:
        return
    with replacing(out / CONFIG) as new:
        write_config(config, new, f"flowjax {command} --config {out / CONFIG} --out {out}")


def _prepared(out: Path, config: Any, own: set[str]) -> set[str]:
    """Returns the files of an earlier run that a run with this config can use, such as vectors."""
    try:
        found = read_config(out / CONFIG, type(config))
    except FlowjaxError:
        return set()
    if found == config:
        return {name for name in own if not name.startswith(("checkpoints/", "metrics."))}
    if isinstance(config, FitConfig) and (found.encoder, found.data) == (
        config.encoder,
        config.data,
    ):
        return {name for name in own if name.startswith("embeddings/")}
    return set()


def _remove(out: Path, names: set[str]) -> None:
    """Moves files of a run aside and deletes them; a failure moves them back."""
    if not names:
        return
    aside, moved = temporary(out / "replaced"), []
    aside.mkdir()
    try:
        for top in sorted({name.partition("/")[0] for name in names}):
            os.replace(out / top, aside / top)
            moved.append(top)
    except OSError:
        for top in moved:
            os.replace(aside / top, out / top)
        aside.rmdir()
        raise
    shutil.rmtree(aside)


def check_same(found: Any, wanted: Any, out: Path) -> None:
    """Raises FlowjaxError with the first field in which two configs differ.

    Fields in `MAY_CHANGE` of the config's class may differ.
    """
    free = getattr(wanted, "MAY_CHANGE", ())
    for table in dataclasses.fields(wanted):
        a, b = getattr(found, table.name), getattr(wanted, table.name)
        for field in dataclasses.fields(b):
            old, new = getattr(a, field.name), getattr(b, field.name)
            if old != new and f"{table.name}.{field.name}" not in free:
                raise FlowjaxError(
                    f"{out}: expected an unfinished run with {table.name}.{field.name} = {new!r}, "
                    f"got one with {old!r}; use that value, another folder, or --overwrite"
                )


@contextmanager
def recorded(
    out: Path,
) -> Iterator[Callable[[dict[str, float]], None]]:
    """Context manager for a training loop, which a signal stops after its current step.

    Args:
        out: the run folder.

    Yields:
        `on_step(row)`, which appends a row of metrics to `metrics.jsonl` (on process 0).
    """
    from flowjax.parallel import processes

    file = _open_lines(out / "metrics.jsonl") if processes.is_first() else None
    with stopping_loop():

        def on_step(row: dict[str, float]) -> None:
            if file:
                with named(out / "metrics.jsonl"):  # a full disk
                    file.write(json.dumps(row).encode() + b"\n")

        try:
            yield on_step
        finally:
            if file:
                file.close()


def _open_lines(path: Path) -> Any:
    """Opens a file of lines for appending, unbuffered, and ends a line that a kill cut short."""
    file = path.open("a+b", buffering=0)
    if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file
