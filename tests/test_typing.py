"""Types of the public interface; mypy also checks `typed/uses.py`."""

import inspect
import typing

import pytest

import flowjax
from flowjax import flows, literals
from flowjax.encoder.encode_options import AllOptions, EncoderOptions, PretrainedOptions
from flowjax.encoder.pooling import POOLINGS
from flowjax.errors import FlowjaxError
from flowjax.fitting.keywords import FitOptions, RunOptions, SentenceFitOptions
from flowjax.flows.choices import FlowName, GlowOptions, MafOptions


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
