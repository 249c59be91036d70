"""Tests of the configs: round trips through TOML, and errors with table and field."""

import dataclasses
import typing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjax.config import (
    FinetuneConfig,
    FinetuneTrain,
    FitArrayConfig,
    FitConfig,
    PretrainConfig,
    PretrainModel,
    PretrainTrain,
    TrainConfig,
    read_config,
    write_config,
)
from flowjax.config.ranges import Choice, rules_of
from flowjax.errors import FlowjaxError

KINDS = [FitConfig, FitArrayConfig, PretrainConfig, FinetuneConfig]
VALUES = {
    str: st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=10),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    bool: st.booleans(),
    type(None): st.none(),
}


def values_of(hint, rules=()):
    for rule in rules:
        if isinstance(rule, Choice):
            return st.sampled_from(rule)
        kinds = typing.get_args(hint) or (hint,)
        low, high = max(rule.least, rule.above), min(rule.most, rule.below)
        numbers = st.floats(max(low, -1e300), min(high, 1e300))
        if int in kinds:
            numbers = st.integers(int(low), int(min(high, 2**31)))
        numbers = numbers.filter(lambda x, rule=rule: rule.above < x < rule.below)
        return st.one_of(st.none(), numbers) if type(None) in kinds else numbers
    if typing.get_origin(hint) is typing.Literal:
        return st.sampled_from(typing.get_args(hint))
    parts = typing.get_args(hint)
    return st.one_of([values_of(part) for part in parts]) if parts else VALUES[hint]


def configs(kind):
    fields, rules = {}, rules_of(kind)
    for name, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            fields[name] = configs(hint)
        else:
            fields[name] = values_of(hint, rules.get(name, (None, ()))[1])
    return st.fixed_dictionaries(fields).map(lambda values: kind(**consistent(kind, values)))


def consistent(kind, values):
    """Changes fields that do not agree with other fields."""
    if kind in (TrainConfig, FinetuneTrain):
        values["epochs"] = None if values["steps"] is not None else values["epochs"]
    if kind is TrainConfig:
        values["patience"] = values["patience"] if values["validation"] else None
    elif kind is PretrainTrain:
        values["steps"] += values["warmup_steps"] + values["decay_steps"]
    elif kind is PretrainModel:
        values["width"] *= values["heads"]
    return values


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "config.toml"

    @given(configs(kind))
    def check(config):
        write_config(config, path, "flowjax fit\nof two lines")
        assert read_config(path, kind) == config
        assert path.read_text("utf-8").startswith("# flowjax fit\n# of two lines\n")

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file_gives_the_defaults(kind, tmp_path):
    (tmp_path / "c.toml").write_text("")
    assert read_config(tmp_path / "c.toml", kind) == kind()


def test_defaults_of_a_table_stay(tmp_path):
    (tmp_path / "c.toml").write_text("[train]\nsteps = 5\n")
    config = read_config(tmp_path / "c.toml", FitArrayConfig)
    assert config.train == TrainConfig(steps=5, batch_size=256)


def test_int_for_float_and_none(tmp_path):
    (tmp_path / "c.toml").write_text('[train]\nlearning_rate = 1\nclip_norm = "none"\n')
    train = read_config(tmp_path / "c.toml", FitConfig).train
    assert train.learning_rate == 1.0 and type(train.learning_rate) is float
    assert train.clip_norm is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trian]\nsteps = 1", r"trian: expected a table among encoder, data, flow, train"),
        ("steps = 1", "steps: expected a table among"),
        (
            "[flow]\nwhiten_latents = false",
            r"flow\.whiten_latents: expected the new name latent_power \(1 for true, none for",
        ),
        ("[flow]\nbeta = 0.5", r"flow\.beta: expected the new name power \(the same number\)"),
        ("[train]\nstep = 1", r"train\.step: expected a field among steps, epochs, "),
        ("train = 3", r"train: expected a table \[train\], got 3"),
        ("[train]\nsteps = 1.5", r"train\.steps: expected int or \"none\", got 1.5"),
        ("[train]\nsteps = true", r"train\.steps: expected int or \"none\", got True"),
        ('[train]\nlearning_rate = "1e-3"', r"train\.learning_rate: expected float, got '1e-3'"),
        ("[train]\nlearning_rate = true", r"train\.learning_rate: expected float, got True"),
        ('[train]\nlearning_rate = "none"', r"train\.learning_rate: expected float, got 'none'"),
        ("[encoder]\nspecial_tokens = 1", r"encoder\.special_tokens: expected bool, got 1"),
        ("[data]\nfit = [1]", r"data\.fit: expected str, got \[1\]"),
        (
            "[flow]\nshrinkage = true",
            r"flow\.shrinkage: expected float or likelihood or .*, got True",
        ),
        ("[train]\nsteps = 0", r"train\.steps: expected an integer of at least 1, got 0"),
        ("[train]\nlearning_rate = nan", r"train\.learning_rate: expected .*, got nan"),
        ("[train]\nsteps = 5\nepochs = 2", r"train: expected either steps or epochs, got steps 5"),
        ("[train]\npatience = 5", r"train\.validation: expected a fraction above 0 if patience"),
        ('[train]\noptimizer = "sgd"', r"train\.optimizer: expected one of adam, adam_uncorr"),
        ("[train", "expected a config in TOML"),
        ("[train]\nsteps = 1\nsteps = 2", "expected a config in TOML"),
    ],
)
def test_errors_name_table_and_field(tmp_path, text, message):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(FlowjaxError, match=rf"c\.toml: {message}"):
        read_config(tmp_path / "c.toml", FitConfig)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(
        FlowjaxError, match=r"none\.toml: expected a config in TOML, got no such file"
    ):
        read_config(tmp_path / "none.toml", FitConfig)
    with pytest.raises(FlowjaxError, match="expected a config in TOML"):
        read_config(tmp_path, FitConfig)
    (tmp_path / "c.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(FlowjaxError, match=r"c\.toml: expected a config in TOML"):
        read_config(tmp_path / "c.toml", FitConfig)


CONFIGS = Path(__file__).parents[1] / "configs"
SHIPPED = sorted(CONFIGS.rglob("*.toml"))
TABLES = [path for path in SHIPPED if path.parent != CONFIGS]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: str(p.relative_to(CONFIGS)))
def test_shipped_configs_are_valid_and_name_their_command(path):
    text = path.read_text("utf-8")
    kinds = {"pretrain": PretrainConfig, "finetune": FinetuneConfig}
    kind = kinds.get(path.stem.rsplit("_", 1)[-1], FitConfig)
    if path.stem.startswith("density"):
        kind = FitArrayConfig
    config = read_config(path, kind)
    place = path.relative_to(CONFIGS.parent).as_posix()
    assert text.startswith("#") and "flowjax " in text and f"--config {place}" in text
    if kind is FinetuneConfig:
        data = dataclasses.replace(config.data, dir="DATA")  # --data-dir
        dataclasses.replace(config, data=data).resolved()
    elif kind is not PretrainConfig:
        from flowjax import flows

        flows.make(config.flow.name, 64, **config.flow.options())


@pytest.mark.parametrize("path", TABLES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_configs_of_tables_begin_with_their_command_and_note_if_it_was_run(path):
    lines = path.read_text("utf-8").splitlines()
    run = f"runs/{path.parent.name}_{path.stem}"
    name, end = ("finetune", "") if path.stem.endswith("finetune") else ("fit", " && flowjax ")
    command = f"# flowjax {name} --config configs/{path.parent.name}/{path.name} --data-dir DATA"
    assert lines[0].startswith(f"{command} --out {run}{end}")
    ours = path.stem.startswith("minibert")
    notes = ("# Run here", "# Not run yet") if ours else ("# Not run here: needs",)
    assert any(line.startswith(notes) for line in lines)


def test_every_table_has_its_configs():
    assert len(SHIPPED) >= 4
    for table, rows in (("table2", 4), ("table3", 6), ("table4", 3), ("table5", 7), ("table6", 2)):
        found = [path.stem for path in TABLES if path.parent.name == table]
        assert sum(stem.startswith("minibert_") for stem in found) == rows
        assert len(found) >= 2 * rows
