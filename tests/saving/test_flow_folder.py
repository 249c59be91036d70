"""A flow of rows in its folder."""

import jax
import numpy as np
import pytest

import flowjax
from flowjax import flows
from flowjax.saving.flow import holds_flow, load_flow, save_flow

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
RECIPES = {
    "glow": {"levels": 1, "depth": 1, "width": 4},
    "glow_untouched": {"levels": 1, "depth": 1, "width": 4},
    "whitening": {"components": 2},
    "realnvp": {"depth": 2, "width": 4, "base": "student_t"},
}


@pytest.mark.parametrize("name", RECIPES)
def test_it_comes_back(name, tmp_path):
    """Before a fit a glow has no whitened latents, after it it has."""
    recipe, options = name.split("_untouched")[0], RECIPES[name]
    flow = flows.make(recipe, 3, **options)
    params = flow.init(jax.random.key(0), X)
    if "untouched" not in name:
        params = flowjax.fit(flow, X, key=0, batch_size=20, steps=2, devices=1).params
    folder = save_flow(tmp_path / "run" / "model", params, name=recipe, dim=3, options=options)
    for place in (folder, folder.parent):
        assert holds_flow(place)
        again, loaded = flowjax.load_flow(place)
        np.testing.assert_array_equal(
            again.log_prob(loaded, X), flow.log_prob(jax.tree.map(np.asarray, params), X)
        )
    with pytest.raises(ValueError, match="expected a new folder"):
        save_flow(folder, params, name=recipe, dim=3, options=options)


@pytest.mark.parametrize("base", ["normal", "conditional"])
def test_one_with_a_context_comes_back(base, tmp_path):
    options = {"depth": 2, "width": 4, "base": base}
    flow, context = flows.make("realnvp", 3, **options), X[:, :2]
    params = flow.init(jax.random.key(0), X, context)
    spec = {"name": "realnvp", "dim": 3, "options": options, "context_width": 2}
    again, loaded = load_flow(flowjax.save_flow(tmp_path / "model", params, **spec))
    np.testing.assert_array_equal(
        again.log_prob(loaded, X, context), flow.log_prob(params, X, context)
    )


def test_what_is_no_json_is_refused_and_leaves_nothing(tmp_path):
    options = {"conditioner": flowjax.bijectors.mlp(4)}
    with pytest.raises(ValueError, match="options: expected names and numbers"):
        save_flow(tmp_path / "model", {}, name="realnvp", dim=3, options=options)
    assert not list(tmp_path.iterdir())


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a flow that fit-array fitted, found none"):
        load_flow(tmp_path)
    contents = {
        "{": "found none",
        "5": "found none",
        '{"array_flow": "glow"}': "format 2, got None",
        '{"array_flow": "glow", "format": 2, "options": {}}': "damaged: KeyError",
    }
    for content, text in contents.items():
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=text):
            load_flow(tmp_path)
