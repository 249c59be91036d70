"""Help, messages and results on terminals of 80 and 120 columns."""

import dataclasses
import importlib
import io
import re

import pytest

from flowjax.commands import info, terminal
from flowjax.commands.fit import load_sentences
from flowjax.commands.flags import field_docs
from flowjax.commands.main import COMMANDS, main
from flowjax.config import DataConfig, FitConfig


class Screen(io.StringIO):
    def isatty(self):
        return True


def tables_of(command):
    """Returns the dataclasses of the flags of a command, with their prefixes."""
    args = importlib.import_module(f"flowjax.commands.{command.replace('-', '_')}").Args
    found = [("", args)]
    if config := getattr(args, "CONFIG", None):
        found += [(f"{f.name}.", type(f.default)) for f in dataclasses.fields(config)]
    return found


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_describes_every_flag_and_breaks_no_word(command, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([command, "--help"]) == 0
    page = capsys.readouterr().out
    assert max(map(len, page.splitlines())) <= columns
    flat = " ".join(page.split())
    for prefix, table in tables_of(command):
        docs = field_docs(table)
        for field in dataclasses.fields(table):
            if prefix == "" and dataclasses.is_dataclass(field.default):
                continue  # a table
            doc = " ".join(docs[field.name].split())
            assert len(doc) > 5, f"{prefix}{field.name} has no help text"
            assert doc in flat, f"{prefix}{field.name}"


def test_a_long_line_is_broken_between_words_on_a_terminal_only(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = (
        "flowjax fit: expected 'a-very-long-name' of the log-likelihood, got something else\nend"
    )
    shown = terminal.wrapped(text, Screen())
    assert max(map(len, shown.splitlines())) <= 40
    assert shown.split() == text.split()
    assert terminal.wrapped(text, io.StringIO()) == text
    path = "/" + "x" * 60
    assert terminal.wrapped(f"{path}: No such file", Screen()).splitlines()[0] == f"{path}:"


def test_a_folder_with_the_name_of_a_task_does_not_hide_the_task(tmp_path, monkeypatch):
    pairs = "a\tb\tc\td\t3\tA man plays.\tA dog runs.\n"
    (data := tmp_path / "D" / "stsb").mkdir(parents=True)
    for file in ("sts-dev.csv", "sts-test.csv"):
        (data / file).write_text(pairs)
    monkeypatch.chdir(tmp_path)
    for name in ("stsb", "sample"):
        (tmp_path / name).mkdir()
        config = FitConfig(data=DataConfig(fit=name, dir="D" if name == "stsb" else ""))
        source, _ = load_sentences(config)
        assert len(list(source)) >= 4


def test_info_prints_rounded_numbers_and_no_repeated_keys():
    facts = {
        "encoder": {"encoder": "minibert", "dtype": "float32"},
        "fitted_on": {"nll_nats": -59.78652572631836, "data": None},
    }
    lines = info._lines(facts)
    assert [re.split(" +", line.strip()) for line in lines] == [
        ["encoder:"],
        ["name", "minibert"],
        ["dtype", "float32"],
        ["fitted_on:"],
        ["nll_nats", "-59.787"],
        ["data", "none"],
    ]
