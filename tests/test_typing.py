"""The public interface as mypy sees it."""

import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import flowjax
from flowjax import flows, literals
from flowjax.encoder.encode_options import AllOptions, EncoderOptions, PretrainedOptions
from flowjax.encoder.pooling import POOLINGS
from flowjax.errors import FlowjaxError
from flowjax.fitting.keywords import FitOptions, RunOptions, SentenceFitOptions
from flowjax.flows.choices import FlowName, GlowOptions, MafOptions

CASES = Path(__file__).with_name("typing_cases.py")


def test_right_and_wrong_uses():
    """mypy finds the marked errors and types, and no other error."""
    pytest.importorskip("mypy")
    # The settings and the cache of the gate, so that the gate does not check the package again.
    command = [sys.executable, "-m", "mypy", "--no-error-summary", CASES]
    done = subprocess.run(command, capture_output=True, text=True, cwd=CASES.parents[1])
    assert not done.stderr
    found = {}
    for line in done.stdout.splitlines():
        place = re.match(r".*typing_cases\.py:(\d+): (error|note): (.*)", line)
        if not place:  # an error of the package, which the gate reports
            continue
        number, kind, text = int(place[1]), place[2], place[3]
        if kind == "error":
            found.setdefault(number, "E: " + re.findall(r"\[([\w-]+)\]$", text)[0])
        elif text.startswith("Revealed type"):
            # Without the modules of the names.
            kind = re.sub(r"\b(?:\w+\.)+(?=\w)", "", text.split('"')[1])
            named = re.search(r"fallback=(\w+)\]$", kind)  # a NamedTuple
            found[number] = f"R: {named[1] if named else kind}"
    lines = enumerate(CASES.read_text().splitlines(), start=1)
    marks = {i: line.split("  # ")[1] for i, line in lines if "  # " in line}
    assert found == marks


def keywords(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p for p in parameters if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize(
    "options, function, others",
    [
        (FitOptions, flowjax.fit, {"key", "context"}),
        (EncoderOptions, flowjax.SentenceEncoder, {"name", "pooling", "max_length"}),
        (GlowOptions, flows.glow, {"init", "latent_power"}),
        (MafOptions, flows.maf, set()),
    ],
)
def test_options_that_are_passed_on(options, function, others):
    """A TypedDict has the arguments of the function that declares them, and their types."""
    declared = {k: v for k, v in hints(function).items() if k in keywords(function)}
    assert typing.get_type_hints(options) == {k: declared[k] for k in declared if k not in others}


def hints(function):
    function = function.__init__ if inspect.isclass(function) else function
    return typing.get_type_hints(function, localns={"Tokenizer": object})


def test_options_of_sentence_models():
    own = set(keywords(flowjax.BertFlow.fit)) | set(RunOptions.__annotations__)
    assert own == set(SentenceFitOptions.__annotations__)
    own = set(keywords(flowjax.SentenceEncoder.from_pretrained)) - {"pooling", "max_length"}
    assert own | set(EncoderOptions.__annotations__) == set(PretrainedOptions.__annotations__)
    own = set(inspect.signature(flowjax.SentenceEncoder.encode).parameters)
    assert own - {"self", "sentences", "kwargs"} <= set(AllOptions.__annotations__)


def test_names_of_literals():
    assert set(typing.get_args(FlowName)) == {"auto", *flows.RECIPES}
    assert typing.get_args(literals.Pooling) == tuple(POOLINGS)


@pytest.mark.parametrize(
    "call, expected",
    [
        (
            lambda m: m.fit(["a"], epochz=3),
            "fit: expected a known argument, such as epochs, got 'epochz'",
        ),
        (lambda m: m.fit_vectors([[0.0]], kep=3), "fit_vectors: .* such as keep, got 'kep'"),
        (lambda m: flowjax.BertFlow(batchsize=3), "BertFlow: .* batch_size, got 'batchsize'"),
        (
            lambda m: flowjax.BertFlow(m.encoder, dtype="float32"),
            "dtype: expected the name of an encoder",
        ),
        (
            lambda m: flowjax.SentenceEncoder.from_pretrained("minibert", dtyp="float32"),
            "SentenceEncoder: .* dtype, got 'dtyp'",
        ),
        (lambda m: m.encode(["a"], batchsize=3), "encode: .* unknown \\['batchsize'\\]"),
        (lambda m: flows.make("glow", 6, levles=2), "glow: expected one of .*, got 'levles'"),
    ],
)
def test_unknown_keyword_arguments(call, expected):
    """An unknown keyword argument is one clear error, before other work."""
    with pytest.raises(FlowjaxError, match=expected) as caught:
        call(flowjax.BertFlow(flow="identity"))
    assert "\n" not in str(caught.value)
