"""Saved flows: `save_flow` and `load_flow` restore the same density without restated options."""

import jax
import numpy as np
import pytest
from grids import grid

import flowjax
from flowjax import bijectors, flows
from flowjax.bijectors.permutation import _orders
from flowjax.saving.flow import digest, holds_flow, load_flow, save_flow

X = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
FLOWS = {
    "glow": lambda: flows.glow(6, depth=1, width=4),
    "glow, plain": lambda: flows.glow(6, depth=1, width=4, latent_power=None),
    "glow, options": lambda: flows.glow(
        6, seed=3, depth=2, width=8, coupling="affine", mask="checkerboard"
    ),
    "glow, numpy integers": lambda: flows.glow(6, depth=1, width=np.int64(4), seed=np.int32(2)),
    "glow_as_released": lambda: flows.glow_as_released(6, levels=2, depth=1, width=4),
    "glow, power": lambda: flows.glow(6, depth=1, width=4, latent_power=0.2),
    "whitening": lambda: flows.whitening(6, components=2),
    "whitening, power": lambda: flows.whitening(6, components=2, power=0.5),
    "center": lambda: flows.center(6),
    "all_but_the_top": lambda: flows.all_but_the_top(6, components=2),
    "whitening_glow": lambda: flows.whitening_glow(6, components=4, depth=1, width=4),
    "standardize": lambda: flows.standardize(6),
    "identity": lambda: flows.identity(6),
    "realnvp": lambda: flows.realnvp(6, depth=2, width=4, base="student_t", permutation="lu"),
    "neural_spline": lambda: flows.neural_spline(6, depth=1, width=4),
    "maf": lambda: flows.maf(6, depth=2, width=4, transform="spline", permutation="random"),
    "iaf": lambda: flows.iaf(6, depth=1, width=4),
    "elementwise_spline": lambda: flows.elementwise_spline(6, depth=1),
}

# Variants of recipes of which another variant is tested as well.
VARIANTS = ("glow, plain", "glow, power", "glow, numpy integers", "whitening, power")
VARIANTS += ("iaf", "elementwise_spline")
# A flow for each place of a closed form, and a flow without one.
FITTED = ("whitening_glow", "glow", "whitening", "realnvp")


def composed(seed=0):
    parts = bijectors.actnorm(), bijectors.permutation(seed=seed), bijectors.affine_coupling()
    return flows.build(bijectors.chain(*parts), 6, name="mine")


def randomized(flow, context=None):
    """Parameters that differ from those of `init`."""
    params = jax.jit(flow.init)(jax.random.key(0), X, context)
    noise = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: leaf + 0.1 * noise.normal(size=leaf.shape), params)


@pytest.mark.parametrize("name", grid(FLOWS, slow=VARIANTS))
def test_a_recipe_is_restored_from_the_folder_alone(name, tmp_path):
    flow = FLOWS[name]()
    params = randomized(flow)
    folder = save_flow(tmp_path / "run" / "model", flow, params)
    found = []
    for place in (folder, folder.parent):
        assert holds_flow(place)
        again, loaded = flowjax.load_flow(place)
        assert again.recipe == flow.recipe and again.layers == flow.layers
        found.append(loaded)
    jax.tree.map(np.testing.assert_array_equal, *found)
    log_prob = jax.jit(again.log_prob)(loaded, X)
    np.testing.assert_array_equal(log_prob, jax.jit(flow.log_prob)(params, X))
    with pytest.raises(ValueError, match="expected a new folder"):
        save_flow(folder, flow, params)
    save_flow(folder, flow, params, overwrite=True)


def test_all_recipes_are_tested():
    assert {name.split(",")[0] for name in FLOWS} == set(flows.RECIPES)


@pytest.mark.parametrize("name", grid(FLOWS, default=FITTED))
def test_fitted_parameters_have_the_structure_of_init(name):
    flow = FLOWS[name]()
    options = {"key": 0, "batch_size": 20, "steps": 2, "devices": 1, "measured": False}
    fitted = flowjax.fit(flow, X, **options).params
    first = flow.init(jax.random.key(0), X)
    assert jax.tree.structure(fitted) == jax.tree.structure(first)
    shapes = lambda params: [np.shape(leaf) for leaf in jax.tree.leaves(params)]  # noqa: E731
    assert shapes(fitted) == shapes(first)


@pytest.mark.parametrize("base", ["normal", "conditional"])
@pytest.mark.parametrize("width", grid([1, 2, 5], slow=[2]))
def test_the_width_of_the_context_needs_no_argument(base, width, tmp_path):
    flow, context = flows.realnvp(6, depth=2, width=4, base=base), X[:, :width]
    params = randomized(flow, context)
    again, loaded = load_flow(save_flow(tmp_path / "model", flow, params))
    log_prob = jax.jit(again.log_prob)(loaded, X, context)
    np.testing.assert_array_equal(log_prob, jax.jit(flow.log_prob)(params, X, context))


def test_a_composed_flow_is_verified(tmp_path):
    flow = composed()
    params = randomized(flow)
    folder = save_flow(tmp_path / "model", flow, params)
    with pytest.raises(
        ValueError,
        match=r"flow: expected the flow that was saved, because 'mine' in .* is composed",
    ):
        load_flow(folder)
    _, loaded = load_flow(folder, composed())
    np.testing.assert_array_equal(flow.log_prob(loaded, X), flow.log_prob(params, X))
    for other in (composed(seed=1), flows.glow(6, depth=1), flows.identity(5)):
        with pytest.raises(ValueError, match="expected the flow that was saved"):
            load_flow(folder, other)


def test_options_that_are_functions_need_the_flow(tmp_path):
    flow = flows.realnvp(6, depth=2, conditioner=bijectors.mlp(4))
    folder = save_flow(tmp_path / "model", flow, randomized(flow))
    with pytest.raises(ValueError, match="options that are functions"):
        load_flow(folder)
    assert load_flow(folder, flow)[0] is flow


def test_another_random_stream_of_numpy_is_noticed(tmp_path, monkeypatch):
    flow = flows.glow(6, depth=1, width=4)
    folder = save_flow(tmp_path / "model", flow, randomized(flow))
    other = np.random.default_rng(99)
    monkeypatch.setattr(np.random, "default_rng", lambda seed: other)
    _orders.cache_clear()
    with pytest.raises(ValueError, match=r"flow that was saved.* same layers with other perm"):
        load_flow(folder)
    _orders.cache_clear()


def test_the_digest_depends_on_layers_and_drawn_arrays():
    seeds = [flows.neural_spline(6, depth=1, seed=seed) for seed in range(3)]
    depths = [flows.neural_spline(6, depth=depth) for depth in (2, 3)]
    assert len({digest(flow) for flow in (*seeds, *depths)}) == 5


def test_parameters_of_another_flow_are_refused_and_leave_nothing(tmp_path):
    flow, other = flows.realnvp(6, depth=2, width=4), flows.realnvp(6, depth=2, width=8)
    for params in (randomized(other), {}, None):
        with pytest.raises(ValueError, match="params: expected the parameters of this flow"):
            save_flow(tmp_path / "model", flow, params)
    assert not list(tmp_path.iterdir())


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected a saved flow, got no config\.json"):
        load_flow(tmp_path)
    contents = {
        "{": r"config\.json: expected JSON",
        "5": r"config\.json: expected a JSON object, got 5",
        '{"model_type": "bert"}': "got the encoder .*; fit a flow with --encoder",
        '{"flow": {"recipe": "glow"}, "format": 99}': "got 99; install a newer flowjax",
        # The formats before this one: a flow of arrays and a sentence model.
        '{"array_flow": "glow", "format": 2, "options": {}}': "got 2; fit the model again",
        '{"encoder": {}, "flow": {"name": "glow"}, "format": 2}': "got 2; fit the model again",
        '{"format": 3, "flow": {"recipe": "glow"}}': "cannot be read: KeyError",
        '{"format": 3, "flow": 5}': "cannot be read: TypeError",
        '{"format": 3, "flow": {}, "encoder": {}}': "cannot be read: KeyError",
    }
    for content, text in contents.items():
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=text):
            load_flow(tmp_path)


def test_a_failed_overwrite_keeps_the_old_folder(tmp_path, monkeypatch):
    flow = flows.identity(6)
    folder = save_flow(tmp_path / "model", flow, flow.init(jax.random.key(0), X))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(params, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("flowjax.saving.flow.save_params", full)
    with pytest.raises(OSError):
        save_flow(folder, flow, flow.init(jax.random.key(0), X), overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]
