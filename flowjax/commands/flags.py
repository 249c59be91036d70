"""Command-line flags of an `Args` dataclass: one flag per field, dotted names for tables.

The type of a field decides how the flag's text is read, and the docstring of the field is the help
text (or `metadata["help"]`). The string in `Annotated[str, "--encoder"]` is a second name of the
flag.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import difflib
import inspect
import itertools
import re
import textwrap
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from flowjax.config import NONE, read_config
from flowjax.config.files import is_literal
from flowjax.config.ranges import Choice, Range, check_fields
from flowjax.errors import FlowjaxError
from flowjax.flows.recipe import check_renamed

T = TypeVar("T")
# Flags of all commands, and their help texts.
VERBOSITY = {
    "--quiet": "Print only results and errors: no progress and no warnings.",
    "--verbose": "Print details, for example about the files that are read.",
}
POSITIONAL = "positional"
# Type of a field that is given without a flag, for example `Positional[Path]`.
Positional = Annotated[T, POSITIONAL]

# name of a type in help and errors, and the function that reads it; the first that fits is used
READERS: dict[type, tuple[str, Any]] = {
    type(None): (NONE, lambda text: {NONE: None}[text.lower()]),
    bool: ("true|false", lambda text: {"true": True, "false": False}[text.lower()]),
    int: ("int", int),
    float: ("float", float),
    Path: ("path", Path),
    str: ("text", str),
}


class _Formatter(argparse.HelpFormatter):
    """Formatter that breaks no words, and shows a list of values as `TEXT ...`."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        words = " ".join(text.split())
        return textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = ([indent + line for line in self._split_lines(part, width - len(indent))]
                      for part in text.split("\n\n"))  # fmt: skip
        return "\n\n".join("\n".join(lines) for lines in paragraphs)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.nargs == "*":
            return f"{action.metavar} ..."
        return super()._format_args(action, default_metavar)


# tyro has no public way to get an error as one line; argparse documents `error` as overridable.
class _Parser(argparse.ArgumentParser):
    """Parser that raises FlowjaxError instead of printing the usage and exiting."""

    def error(self, message: str) -> NoReturn:
        raise FlowjaxError(message.removeprefix("argument "))


def parse_flags(kind: type[T], prog: str, argv: Sequence[str]) -> T:
    """Returns the `Args` of a command line.

    Args:
        kind: the dataclass. If it has a class attribute `CONFIG`, the fields of that class are
            tables of flags, and `--config FILE` names a TOML file with their defaults. If it has
            a static method `for_config`, that method returns the dataclass for a file.
        prog: name of the command, for the help page.
        argv: arguments after the command.

    Raises:
        FlowjaxError: An unknown flag, a value of another type, a missing argument or a config
            that cannot be read.
        SystemExit: After `--help`.
    """
    argv = [_dashed(word) for word in argv]
    parser = _Parser(
        description=inspect.getdoc(kind),
        formatter_class=_Formatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    tables: dict[str, Any] = {}
    if getattr(kind, "CONFIG", None):
        parser.add_argument(
            "--config",
            metavar="FILE",
            help="TOML file with values of the fields; flags override it.",
        )
        file = getattr(parser.parse_known_args(argv)[0], "config", None)
        if file and (chosen := getattr(kind, "for_config", None)):
            kind = chosen(file)
        config: Any = kind.CONFIG  # type: ignore[attr-defined]
        tables = values_of(read_config(file, config) if file else config())
    defaults = {f.name: f.default for f in dataclasses.fields(kind) if f.name not in tables}  # type: ignore[arg-type]
    actions = _add_flags(parser, kind, defaults, "")
    for name, table in tables.items():
        group = parser.add_argument_group(f"[{name}]", inspect.getdoc(table))
        actions += _add_flags(group, type(table), values_of(table), f"{name}.")
    for flag, text in VERBOSITY.items():  # `main` reads them
        parser.add_argument(flag, action="store_true", dest=argparse.SUPPRESS, help=text)
    parser.add_argument("-h", "--help", action="help", help="Show this page and exit.")
    places = [a for a in actions if not a.option_strings]
    parser.usage = " ".join(
        [prog, *(f"[{a.metavar}]" if a.nargs else str(a.metavar) for a in places), "[flags]"]
    )
    found, unknown = parser.parse_known_args(argv)
    if unknown:
        word = unknown[0].partition("=")[0]
        table, _, option = word.rpartition(".")
        check_renamed(option.replace("-", "_"), f"{table}.")
        flags = [flag for action in actions for flag in action.option_strings]
        close = difflib.get_close_matches(word, flags, 1)
        hint = f"did you mean {close[0]}?" if close else f"see {prog} --help"
        known = "a known flag" if word.startswith("-") else "no further argument"
        raise FlowjaxError(f"{word}: expected {known}; {hint}")
    return _filled(kind, tables, vars(found))


def _filled(kind: type[T], tables: Mapping[str, Any], values: Mapping[str, Any]) -> T:
    """Returns an instance of `kind` from the values of the given flags, by dotted name."""
    given: dict[str, dict[str, Any]] = {"": {}}
    for path, value in values.items():
        if path != "config":
            table, _, name = path.rpartition(".")
            given.setdefault(table, {})[name] = tuple(value) if isinstance(value, list) else value
    filled = {}
    for name, table in tables.items():
        changes = given.get(name, {})
        alternatives = {*getattr(table, "ALTERNATIVES", ())}
        if alternatives & {*changes}:  # a flag replaces the other field in a file
            changes = dict.fromkeys(alternatives) | changes
        filled[name] = dataclasses.replace(table, **changes)
    args = kind(**filled, **given[""])
    check_fields(args, "--")
    return args


def values_of(config: Any) -> dict[str, Any]:
    """Returns the fields of a dataclass by name."""
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}


def _dashed(word: str) -> str:
    """Returns `--train.batch_size=8` as `--train.batch-size=8`."""
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value if word.startswith("--") else word


def _add_flags(
    parser: Any, kind: type, defaults: Mapping[str, Any], table: str
) -> list[argparse.Action]:
    hints, docs = typing.get_type_hints(kind, include_extras=True), field_docs(kind)
    actions = []
    for name, default in defaults.items():
        hint, extras = hints[name], []
        if typing.get_origin(hint) is Annotated:
            hint, *extras = typing.get_args(hint)
        actions += _add_flag(parser, table + name, hint, extras, docs[name], default)
    return actions


def _add_flag(
    parser: Any, path: str, hint: Any, extras: Sequence[Any], doc: str, default: Any
) -> list[argparse.Action]:
    required = default is dataclasses.MISSING
    extras, rules = (
        [e for e in extras if type(e) is str],
        [e for e in extras if type(e) is not str],
    )
    doc = " ".join([doc, *(f"Range: {rule}." for rule in rules if isinstance(rule, Range))])
    if required:
        doc += " (required)"
    elif default is not False and default not in (None, "", ()):
        doc += f" (default: {default})"
    names = [f"--{path.replace('_', '-')}", *extras]
    options: dict[str, Any] = {"help": doc.replace("%", "%%"), "dest": path, "required": required}
    if hint is bool:
        off = re.sub(r"([^.]+)$", r"no-\1", names[0].removeprefix("--"))
        off_help = f"Disable {names[0]}." if default else argparse.SUPPRESS
        return [
            parser.add_argument(*names, action="store_true", **options),
            parser.add_argument(f"--{off}", action="store_false", dest=path, help=off_help),
        ]
    kinds = (hint,) if is_literal(hint) else typing.get_args(hint) or (hint,)
    if typing.get_origin(hint) is tuple:
        kinds, options["nargs"] = kinds[:1], "*"
    words = [_words(kind) for kind in kinds]
    shown = [
        word if is_literal(kind) else word.upper()
        for kind, word in zip(kinds, words, strict=True)
        if word != NONE or is_literal(kind)
    ]
    choices = [str(rule) for rule in rules if isinstance(rule, Choice)]
    options["metavar"] = "|".join(choices or shown)
    if POSITIONAL in extras:
        several = options.get("nargs")
        names, options = [path], {"help": options["help"], "metavar": path.upper()}
        options |= {} if required else {"nargs": several or "?", "default": default}

    def read(text: str) -> Any:
        literals = [value for kind in kinds if is_literal(kind) for value in typing.get_args(kind)]
        if text in literals:
            return text
        for kind, (_, reader) in READERS.items():
            if kind in kinds:
                with contextlib.suppress(ValueError, KeyError):
                    return reader(text)
        expected = " or ".join(dict.fromkeys(words)).replace("|", " or ")
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")

    return [parser.add_argument(*names, type=read, **options)]


def _words(kind: Any) -> str:
    return "|".join(typing.get_args(kind)) if is_literal(kind) else READERS[kind][0]


def field_docs(kind: type) -> dict[str, str]:
    """Returns the help text of each field of a dataclass and of its bases."""
    docs = {f.name: f.metadata.get("help", "") for f in dataclasses.fields(kind)}
    bases: list[type] = [base for base in kind.__mro__ if dataclasses.is_dataclass(base)]
    for base in reversed(bases):
        try:
            (node,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except OSError:  # made by `make_dataclass`
            continue
        for field, text in itertools.pairwise(node.body):  # type: ignore[attr-defined]
            match field, text:
                case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(doc))):
                    docs[name] = " ".join(doc.split())
    return docs
