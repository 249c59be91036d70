"""Selection of a flow without labels: held-out sentences, candidates, choice, `flow="auto"`."""

import json
import pickle
import random

import jax
import numpy as np
import pytest

import flowjax
from flowjax import flows
from flowjax.bijectors.moments import moments_of
from flowjax.calibration import criterion
from flowjax.calibration.candidates import (
    closed_form_candidates,
    flow_candidates,
    transformed,
)
from flowjax.calibration.held import SampledSource, held_count, rest_of
from flowjax.calibration.inputs import neighbour_pairs
from flowjax.calibration.poolings import POOLINGS, has_default_pooling, pool
from flowjax.calibration.select import (
    FLOW_POWERS,
    FOLDS,
    KINDS,
    POWERS,
    _unseen,
    advice,
    pairs_of,
    select,
)
from flowjax.commands.main import main
from flowjax.commands.report_inputs import reported_model
from flowjax.compare import calibrations
from flowjax.data.sample import sentences_file
from flowjax.data.sentences import open_source, read_sentences
from flowjax.training import Stopped
from flowjax.types import FlowjaxError

SMALL = {"levels": 1, "depth": 1, "width": 4}
NAMES = ["plain", "centred", "standardized"]
NAMES += [f"whitening^{p:g}" for p in POWERS]


def sampled(sentences, seed=0):
    return SampledSource(open_source(sentences), seed).held()


def test_held_out_sentences_depend_on_text_and_seed_only():
    texts = [f"Sentence {i % 900}." for i in range(2000)] + ["", " "]
    held = sampled(texts)
    shuffled = random.Random(0).sample(texts, len(texts))
    again = sampled(iter(shuffled))
    assert set(again.sentences) == set(held.sentences) != set(sampled(texts, seed=1).sentences)
    assert held.distinct == 900 and len(held.sentences) == held_count(900) == 225
    kept = [text for text in texts if text.strip()]
    chosen = set(held.sentences)  # all occurrences of a sentence are held out
    assert held.rows.tolist() == [i for i, text in enumerate(kept) if text in chosen]
    assert len(rest_of(np.zeros((2000, 2)), held)) == 2000 - len(held.rows)
    many = sampled(f"{i}" for i in range(30_000))
    assert len(many.sentences) == 2000 and many.distinct == pytest.approx(30_000, rel=0.1)


def test_candidates_equal_their_flows():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6)) * np.geomspace(1, 30, 6)
    x = (rng.normal(size=(400, 6)) @ mixing + 20).astype(np.float32)
    x = np.concatenate([x, np.full((400, 1), 3.0, np.float32)], axis=1)  # a dead coordinate
    flow = flows.glow(7, **SMALL)
    params = flowjax.fit(flow, x, key=0, steps=5, measured=False).params
    own = flow_candidates(flow, params, FLOW_POWERS)
    found = closed_form_candidates(moments_of([x], 7), POWERS) + own
    assert [one.name for one in found[: len(NAMES)]] == NAMES
    assert [one.name for one in own] == [f"glow^{p:g}" for p in FLOW_POWERS]
    densities = {}
    for one, (other, (z,)) in zip(found, transformed(found, [x]), strict=True):
        assert one is other
        wanted, _ = one.flow.forward(one.params, x)
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(z / scale, wanted / scale, atol=2e-4, err_msg=one.name)
        np.testing.assert_allclose(one.transform(x), z, rtol=1e-6)
        family = one.name.partition("^")[0]
        density = np.asarray(one.flow.log_prob(one.params, x))
        np.testing.assert_allclose(density, densities.setdefault(family, density), atol=2e-2)
    flow = flows.all_but_the_top(7)
    (alone,) = flow_candidates(flow, flow.init(jax.random.key(0), x), FLOW_POWERS)
    assert alone.name == "all_but_the_top" and alone.power is None


def planted(noise, seed=0, n=300):
    """Vectors of pairs that agree except in one coordinate with large noise."""
    rng = np.random.default_rng(seed)
    left = rng.normal(size=(n, 8))
    right = left + 0.8 * rng.normal(size=(n, 8))
    first = np.eye(8)[0]
    return {
        kind: tuple(v + noise * rng.normal(size=(n, 1)) * first for v in (left, right))
        for kind in ("halves", "dropped_words")
    }


def test_select_finds_a_better_transformation_and_keeps_plain_vectors_otherwise():
    found = select([("plain", planted(9)), ("centred", planted(8)), ("glow^0.5", planted(0))])
    assert found.name == found.best == "glow^0.5" and 0 < found.low < found.difference < found.high
    assert "glow with power 0.5" in advice(found) and "95 % interval" in advice(found)
    table = found.table
    assert list(table) == ["plain", "centred", "glow^0.5"]
    odds = [row["score"] / (100 - row["score"]) for row in table.values()]
    gain = 100 * (odds[2] / odds[0] - 1)
    # Every fold selects the same candidate.
    assert found.difference == pytest.approx(gain) == table["glow^0.5"]["difference"]
    assert json.loads(json.dumps(found.facts()))["name"] == "glow^0.5"
    for others in ([("whitening^1", planted(9))], [("whitening^1", planted(0))], []):
        kept = select([("plain", planted(0)), *others])  # worse, equal, none
        assert kept.name == "plain" and advice(kept).startswith("keep the plain vectors")
    with pytest.raises(FlowjaxError, match="candidates: expected plain first"):
        select([("glow^0.5", planted(0))])
    with pytest.raises(FlowjaxError, match="pairs: expected at least 10"):
        select([("plain", planted(0, n=5))])


def test_no_better_transformation_is_rarely_selected():
    """Noise of the same size under both names: the interval excludes 0 by chance only."""
    rng, chosen = np.random.default_rng(0), 0
    for seed in range(20):
        base = planted(1, seed=seed, n=100)
        other = {k: [v + 0.3 * rng.normal(size=v.shape) for v in both] for k, both in base.items()}
        same = {k: [v + 0.3 * rng.normal(size=v.shape) for v in both] for k, both in base.items()}
        chosen += select([("plain", same), ("glow^1", other)]).name != "plain"
    assert chosen <= 3


def test_pairs_of_short_sentences():
    assert pairs_of(["Word."] * 50, seed=0) == []
    found = pairs_of([f"a man of {i} plays a large red flute in {i + 50}" for i in range(30)], 0)
    assert [one.kind for one in found] == list(KINDS) and len(found[0].left) > 20


@pytest.fixture(scope="module")
def sentences():
    return read_sentences(sentences_file())[0][:400]


@pytest.fixture(scope="module")
def encoder():
    return flowjax.SentenceEncoder.from_pretrained("minibert", max_length=32)


@pytest.fixture(scope="module")
def model(encoder, sentences):
    model = flowjax.BertFlow(encoder, flow_options=SMALL)
    assert model.flow_name == "auto" and "flow='auto'" in repr(model)
    model.fit(sentences, steps=4)
    return model


def test_auto_is_the_default_and_stores_its_selection(model, sentences, tmp_path):
    found = model.fitted_on["selection"]
    assert list(found["table"])[: len(NAMES)] == NAMES and "glow^0.5" in found["table"]
    assert found["name"] in found["table"] and model.flow_name in flows.RECIPES
    scores = {name: row["dropped_words"] for name, row in found["table"].items()}
    assert found["best"] == max(scores, key=scores.get)
    held = sampled(sentences)
    assert model.fitted_on["sentences"] == 400
    assert model.fitted_on["examples"] == 400 - len(held.rows) == model.moments.count
    assert list(calibrations(model))[-1] == model.vectors_name
    assert dict(reported_model(model).provenance)["Selection"] == found["advice"]
    model.save(tmp_path / "m")
    card = (tmp_path / "m" / "README.md").read_text()
    assert f"Selected without labels: {found['advice']}." in card and "| plain |" in card
    loaded = flowjax.BertFlow.load(tmp_path / "m")
    again = pickle.loads(pickle.dumps(model))
    for other in (loaded, again):
        assert other.digest == model.digest and other.vectors_name == model.vectors_name
        assert other.fitted_on == json.loads(json.dumps(model.fitted_on))
    assert again.is_auto and not loaded.is_auto
    fresh = pickle.loads(pickle.dumps(flowjax.BertFlow(model.encoder, flow_options=SMALL)))
    assert fresh.is_auto and fresh.flow_options == SMALL


def test_the_selection_is_deterministic_and_resumes(encoder, model, sentences, tmp_path):
    """A second process that finds vectors and checkpoints reaches the same flow."""

    def run(steps, **options):
        mine = flowjax.BertFlow(encoder, flow_options=SMALL)
        mine.fit(sentences, steps=steps, out=tmp_path / "run", **options)
        return mine

    with pytest.raises(Stopped):
        run(4, stop=lambda: True)
    resumed = run(4)
    assert resumed.fitted_on["selection"] == model.fitted_on["selection"]
    for a, b in zip(jax.tree.leaves(resumed.params), jax.tree.leaves(model.params), strict=True):
        assert np.array_equal(a, b)


def test_select_with_and_without_auto(encoder, sentences):
    auto = flowjax.BertFlow(encoder, flow_options=SMALL)
    auto.fit(sentences, steps=2, select=False)
    assert auto.flow_name == "glow" and "selection" not in auto.fitted_on
    auto.fit_vectors(encoder.encode(sentences[:200]), steps=2)
    assert auto.flow_name == "glow"
    named = flowjax.BertFlow(encoder, flow="all_but_the_top")
    weights = np.r_[np.ones(300), np.zeros(100)]
    named.fit(sentences, select=True, weights=weights)
    assert list(named.fitted_on["selection"]["table"]) == [*NAMES, "all_but_the_top"]
    named.fit(sentences[:200])
    assert named.flow_name == named.vectors_name == "all_but_the_top"
    with pytest.raises(FlowjaxError, match="flow_options: expected no latent_power"):
        flowjax.BertFlow(encoder, flow_options={"latent_power": 0.5})
    with pytest.raises(FlowjaxError, match="context: expected None for a selection"):
        auto.fit(sentences, steps=2, context=np.ones((400, 1)))


@pytest.mark.parametrize(
    "texts",
    [
        ["One sentence."],
        [f"A short text about the topic {i}." for i in range(150)],
        ["Word."] * 3000,
        [f"word{i}" for i in range(400)],
    ],
    ids=["one", "few", "duplicates", "no halves"],
)
def test_too_little_text_keeps_the_plain_vectors(encoder, texts):
    model = flowjax.BertFlow(encoder)
    with pytest.warns(
        UserWarning, match="flow: keep the plain vectors: a selection needs"
    ) as seen:
        model.fit(texts)
    assert {w.filename for w in seen} == {__file__}  # the user's line
    assert model.flow_name == "identity"
    np.testing.assert_allclose(model.encode(texts[:2]), encoder.encode(texts[:2]), atol=1e-6)
    assert np.isfinite(model.log_prob(texts[:2])).all()


def test_the_command_selects_by_default(sentences, tmp_path, capsys):
    text, out = tmp_path / "s.txt", tmp_path / "run"
    text.write_text("\n".join(sentences) + "\n", "utf-8")
    argv = ["fit", "--data", text, "--out", out, "--train.steps", 3]
    argv += ["--flow.levels", 1, "--flow.depth", 1, "--flow.width", 4]
    assert main(list(map(str, argv))) == 0
    printed = capsys.readouterr().out.splitlines()
    assert 'name = "auto"' in (out / "config.toml").read_text("utf-8")
    loaded = flowjax.BertFlow.load(out)
    assert printed[0].startswith(f"fitted {loaded.vectors_name} on 400 sentences")
    assert printed[1] == loaded.fitted_on["selection"]["advice"]
    assert printed[-1] == f"next: flowjax encode {out} SENTENCES.txt --out vectors.npy"
    assert main(["info", str(out)]) == 0
    assert loaded.fitted_on["selection"]["advice"] in capsys.readouterr().out
    assert main(["fit-array", str(out / "embeddings"), "--flow", "auto", "--quiet"]) == 2
    assert "flow: expected one of" in capsys.readouterr().err


def test_an_encoder_of_another_package(encoder, sentences):
    class Other:
        def encode(self, texts):
            return encoder.encode(list(texts))[:, :16] + 3

    model = flowjax.BertFlow(Other(), flow_options=SMALL)
    model.fit(sentences, steps=2)
    assert len(model.fitted_on["selection"]["table"]) == len(NAMES) + len(FLOW_POWERS)
    assert model.encode(sentences[:2]).shape == (2, 16)


def test_the_pooling_is_selected_if_it_is_not_given(sentences):
    model = flowjax.BertFlow("minibert", flow_options=SMALL, max_length=32)
    model.fit(sentences, steps=2)
    assert model.fitted_on["selection"]["pooling"] == model.encoder.pooling
    assert model.encoder.pooling in POOLINGS
    pool(model.encoder, None, seed=0)  # without a selection
    assert model.encoder.pooling == POOLINGS[0] and has_default_pooling(model.encoder)
    assert not flowjax.BertFlow("minibert", pooling="cls", max_length=32)._pools
    assert not flowjax.BertFlow(model.encoder)._pools


def test_a_gain_needs_its_size_and_its_interval():
    assert criterion.accepted(30.0, 1.0)
    assert not criterion.accepted(30.0, -1.0) and not criterion.accepted(10.0, 1.0)
    rng = np.random.default_rng(0)
    plain = {"halves": 100.0 * (rng.random(400) < 0.5)}
    found = {"halves": 100.0 * (rng.random(400) < 0.5)}
    middle, low, high = criterion.gains({"found": found}, plain)["found"]
    # The standard error of the log-odds of 400 pairs is 0.1, of their difference 0.14.
    width = np.log1p(high / 100) - np.log1p(low / 100)
    assert low < middle < high and width == pytest.approx(2 * 1.96 * 0.1 * 2**0.5, rel=0.15)


def test_neighbours_share_no_row():
    walk = np.random.default_rng(0).normal(size=(900, 4)).cumsum(0).astype(np.float32)
    pairs, reason = neighbour_pairs(
        walk, [[range(300)], [range(300, 600)], [range(600, 900)]], walk[:300]
    )
    assert not reason
    for part in pairs:
        left, right = part["neighbours"]
        assert len(left) == 150 and len(np.unique(np.concatenate([left, right]), axis=0)) == 300


def test_a_fold_has_no_part_in_its_own_selection():
    first = np.arange(50) % FOLDS == 0
    parts = {
        name: {"dropped_words": values}
        for name, values in (
            ("plain", np.zeros(50)),
            ("lucky", 100.0 * first),  # the best of all pairs, owing to the first fold
            ("steady", np.full(50, 10.0)),
        )
    }
    np.testing.assert_array_equal(_unseen(parts)["dropped_words"], 10.0 * first)
