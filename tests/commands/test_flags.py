"""Tests of the command-line flags that a dataclass defines."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import pytest

from flowjax.commands.flags import Positional, field_docs, parse_flags
from flowjax.config.ranges import Choice, Range
from flowjax.errors import FlowjaxError


@dataclasses.dataclass(frozen=True)
class Table:
    """Settings of a table."""

    name: Annotated[str, "--short"] = "a"
    """Name with 100 % of
    two lines."""
    batch_size: int = 8
    rate: float | str | None = 0.5
    bias: bool = True
    """Use a bias."""
    scale: bool | None = None
    mode: Literal["fast", "slow"] = "fast"
    order: Literal["row", "column"] | int | None = None
    kind: Annotated[str, Choice(["new", "old"])] = "new"
    steps: Annotated[int | None, Range(1)] = None
    """Steps."""
    epochs: float | None = None
    ALTERNATIVES = ("steps", "epochs")


@dataclasses.dataclass(frozen=True)
class Config:
    """Config with one table."""

    table: Table = Table(batch_size=16)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Args(Config):
    """Command of the tests."""

    CONFIG = Config
    run: Positional[str]
    """Run folder."""
    text: tuple[str, ...] = ()
    count: Annotated[int, Range(1, 9)] = 3
    out: Path | None = None
    overwrite: bool = False


def parse(*argv):
    return parse_flags(Args, "prog", argv)


def test_defaults_come_from_the_dataclass():
    assert parse("r") == Args(run="r")
    assert parse("r").table.batch_size == 16


@pytest.mark.parametrize(
    ("argv", "field", "value"),
    [
        (["--table.name", "x"], "name", "x"),
        (["--short=x=y"], "name", "x=y"),
        (["--table.batch-size", "2"], "batch_size", 2),
        (["--table.batch_size=2"], "batch_size", 2),
        (["--table.rate", "2"], "rate", 2.0),
        (["--table.rate", "auto"], "rate", "auto"),
        (["--table.rate", "None"], "rate", None),
        (["--table.no-bias"], "bias", False),
        (["--table.no-bias", "--table.bias"], "bias", True),
        (["--table.scale", "False"], "scale", False),
        (["--table.scale", "none"], "scale", None),
        (["--table.mode", "slow"], "mode", "slow"),
        (["--table.order", "row"], "order", "row"),
        (["--table.order", "3"], "order", 3),
    ],
)
def test_flags_of_a_table(argv, field, value):
    got = getattr(parse("r", *argv).table, field)
    assert got == value and type(got) is type(value)


def test_flags_outside_tables():
    got = parse("--text", "a", "b", "--overwrite", "--out", "o", "-")
    assert got == Args(run="-", text=("a", "b"), overwrite=True, out=Path("o"))


@pytest.mark.parametrize(("argv", "run"), [([], None), (["r"], Path("r"))])
def test_a_positional_argument_with_a_default_can_be_left_out(argv, run):
    made = dataclasses.make_dataclass("Made", [("run", Positional[Path | None], None)])
    assert parse_flags(made, "prog", argv).run == run


def test_flags_override_the_config_file(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[table]\nname = "file"\nbatch_size = 3\n')
    for argv in (["--config", str(file)], [f"--config={file}"]):
        table = parse("r", *argv, "--table.batch-size", "4").table
        assert table == Table(name="file", batch_size=4)


def test_a_flag_replaces_the_alternative_in_the_config_file(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[table]\nepochs = 2.0\n")
    assert parse("r", "--config", str(file)).table.epochs == 2.0
    table = parse("r", "--config", str(file), "--table.steps", "4").table
    assert (table.steps, table.epochs) == (4, None)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "required: RUN"),
        (["r", "--table.batch-size", "x"], "--table.batch-size: expected int, got 'x'"),
        (["r", "--table.batch-size"], "--table.batch-size: expected one argument"),
        (["r", "--table.batch-size", "none"], "expected int, got 'none'"),
        (["r", "--table.scale", "maybe"], "expected true or false or none, got 'maybe'"),
        (["r", "--table.mode", "x"], "--table.mode: expected fast or slow, got 'x'"),
        (["r", "--table.order", "x"], "expected row or column or int or none, got 'x'"),
        (["r", "--table.batch-siz", "1"], "did you mean --table.batch-size?"),
        (["r", "--table.batch"], "--table.batch: expected a known flag"),
        (["r", "s"], "s: expected no further argument; see prog --help"),
        (["r", "--config"], "--config: expected one argument"),
        (["r", "--count", "0"], "--count: expected an integer from 1 to 9, got 0"),
        (["r", "--config", "missing.toml"], "missing.toml: expected a config"),
    ],
)
def test_errors_name_the_flag(argv, message):
    with pytest.raises(FlowjaxError) as error:
        parse(*argv)
    assert message in str(error.value)


def test_help_has_every_field_with_its_text_and_default(capsys):
    with pytest.raises(SystemExit) as stop:
        parse("--help")
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("usage: prog RUN [flags] Command of the tests.")
    assert "[table]: Settings of a table. --table.name" in text
    assert "--short TEXT Name with 100 % of two lines. (default: a)" in text
    assert "--table.batch-size INT (default: 16)" in text
    assert "--table.mode fast|slow (default: fast)" in text
    assert "--table.kind new|old (default: new)" in text
    assert "--table.steps INT Steps. Range: at least 1." in text
    assert "--text TEXT ... " in text and "--config FILE TOML file" in text
    assert "Disable --table.bias." in text and "--no-overwrite" not in text


def test_help_of_fields_without_a_docstring_comes_from_their_metadata():
    field = dataclasses.field(default=1, metadata={"help": "Number of layers."})
    made = dataclasses.make_dataclass("Made", [("layers", int, field)])
    assert field_docs(made) == {"layers": "Number of layers."}
