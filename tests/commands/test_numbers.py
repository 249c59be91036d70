"""Every number of every command has a range, tested below, at and above its limits, and NaN."""

import dataclasses
import importlib
import math
import typing

import pytest

from flowjax.commands.flags import parse_flags
from flowjax.commands.main import COMMANDS
from flowjax.config.ranges import Range, rules_of
from flowjax.errors import FlowjaxError


def arguments(command):
    return importlib.import_module(f"flowjax.commands.{command.replace('-', '_')}").Args


def numbers(kind):
    """Yields name, type and hint of the fields that are numbers."""
    for name, hint in typing.get_type_hints(kind).items():
        for number in (int, float):
            if number in (typing.get_args(hint) or (hint,)):
                yield name, number


def flags():
    """Yields command, flag, type and range of each number, except the options of flows."""
    for command in COMMANDS:
        kinds = {"": arguments(command)}
        if config := getattr(kinds[""], "CONFIG", None):
            tables = typing.get_type_hints(config)
            kinds |= {f"{name}.": table for name, table in tables.items() if name != "flow"}
        for prefix, kind in kinds.items():
            rules = rules_of(kind)
            for name, number in numbers(kind):
                _, (rule, *_) = rules.get(name, (None, [None]))
                yield command, f"--{prefix}{name.replace('_', '-')}", number, rule


TABLE = list(flags())
IDS = [f"{command}{flag}" for command, flag, *_ in TABLE]
# Values of other flags that are required or that must agree, by flag.
REQUIRED = {
    "encode": ["run", "x.txt", "--out", "v.npy"],
    "sample": ["run", "--out", "v.npy"],
    "score": ["run", "x.txt"],
    "search": ["run", "x.txt", "query"],
    "analyze": ["run"],
    "fit-array": ["x.npy"],
    "compile": ["--target", "cpu:1"],
}
AGREE = {
    "--train.patience": ["--train.validation", "0.1"],
    "--model.heads": ["--model.width", "1000000"],
    "--model.width": ["--model.heads", "1"],
    "--train.warmup-steps": ["--train.decay-steps", "0"],
    "--train.steps": ["--train.warmup-steps", "0", "--train.decay-steps", "0"],
    "--train.decay-steps": ["--train.warmup-steps", "0"],
}


def parse(command, flag, value):
    more = AGREE.get(flag, []) if command == "pretrain" or "patience" in flag else []
    argv = [*REQUIRED.get(command, []), *more, f"{flag}={value}"]
    return parse_flags(arguments(command), f"flowjax {command}", argv)


def test_the_table_has_the_numbers_of_all_commands():
    assert len(TABLE) > 50 and all(isinstance(rule, Range) for *_, rule in TABLE), TABLE


@pytest.mark.parametrize(("command", "flag", "number", "rule"), TABLE, ids=IDS)
def test_a_number_is_accepted_only_in_its_range(command, flag, number, rule):
    step = 1 if number is int else 1e-3
    invalid = [rule.least - step, rule.most + step, rule.above, rule.above - step, rule.below]
    valid = [rule.least, rule.most, rule.above + step, rule.below - step]
    for value in filter(math.isfinite, invalid):
        with pytest.raises(FlowjaxError, match=f"{flag[2:].replace('-', '_')}: expected"):
            parse(command, flag, number(value))
    for value in filter(math.isfinite, valid):
        parse(command, flag, number(value))
    for text in ("nan", "inf", "-inf", "", "x"):
        with pytest.raises(FlowjaxError, match="expected"):
            parse(command, flag, text)


FITS = ["fit", "fit-array"]


@pytest.mark.parametrize("command", FITS)
def test_steps_and_epochs_exclude_each_other(command):
    argv = [*REQUIRED.get(command, []), "--train.steps", "3", "--train.epochs", "2"]
    with pytest.raises(FlowjaxError, match="expected either steps or epochs, got steps 3 and"):
        parse_flags(arguments(command), "x", argv)


def test_fields_that_must_agree():
    for flag, value, text in [
        ("--model.width", 255, "expected a multiple of 4 heads, got 255"),
        ("--train.steps", 899, "expected at least 900, the sum of warmup_steps and decay_steps"),
    ]:
        with pytest.raises(FlowjaxError, match=text):
            parse_flags(arguments("pretrain"), "x", [f"{flag}={value}"])


def test_none_is_valid_where_it_is_the_default():
    for command, flag, _, _ in TABLE:
        kind = arguments(command)
        table, _, name = flag[2:].replace("-", "_").rpartition(".")
        kind = typing.get_type_hints(kind.CONFIG)[table] if table else kind
        (field,) = [f for f in dataclasses.fields(kind) if f.name == name]
        if field.default is None:
            parse(command, flag, "none")
