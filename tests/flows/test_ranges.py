"""Numbers of all constructors: one error at construction if out of range; NumPy numbers work."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from flowjax import bijectors as b
from flowjax import flows
from flowjax.flows.recipe import RECIPES, options_of
from flowjax.types import FlowjaxError

NAN, INF = float("nan"), float("inf")
NOT_INTEGERS = (2.5, True, "3", None, NAN, INF, (2,), np.float64(2), np.True_, np.array([2, 3]))
NOT_NUMBERS = (NAN, INF, -INF, "1", None, True, np.True_, np.array([1.0]), np.array([1.0, 2.0]))

# constructor, argument, values out of range, valid values
INTEGERS = [
    (b.householder, "reflections", (0, -1), (1, 3)),
    (flows.mixture, "components", (0,), (1,)),
    (b.circular_spline_map, "bins", (1, 501), (2,)),
    (b.permutation, "seed", (-1,), (0, 2**40)),
    (b.permutation, "index", (-1,), (0, 99)),
    (b.linear_lu, "seed", (-1,), (0,)),
    (b.mlp, "width", (0, -3), (1,)),
    (b.mlp, "depth", (-1,), (0,)),
    (b.residual, "width", (0,), (1,)),
    (b.residual, "blocks", (-1,), (0,)),
    (b.glow_net, "width", (0,), (1,)),
    (b.made, "width", (0,), (1,)),
    (b.made, "depth", (-1,), (0,)),
    (b.spline_coupling, "bins", (1, 0, 501), (2, 500)),
    (lambda n: b.repeat(b.identity(), n), "n", (0, -1), (1,)),
    (lambda dim: flows.build(b.identity(), dim), "dim", (0, -1), (1,)),
    *(
        (lambda dim, f=f: f(dim), "dim", (1, 0, -2), (2,))
        for f in (flows.glow, flows.realnvp, flows.neural_spline)
    ),
    (lambda levels: flows.glow(8, levels=levels), "levels", (0, 4), (3,)),
    (lambda levels: flows.glow_as_released(8, levels=levels), "levels", (0, 4), (3,)),
    (lambda depth: flows.realnvp(8, depth=depth), "depth", (0, 3, -2), (2,)),
    (lambda components: flows.whitening(8, components=components), "components", (0, 9), (8,)),
    (
        lambda components: flows.whitening_glow(8, components=components),
        "components",
        (0, 1, 9),
        (2,),
    ),
]
NUMBERS = [
    (b.spline_coupling, "bound", (0, -1, 1e30), (1e-3, 5)),
    (b.actnorm, "logscale_factor", (0,), (-1, 3)),
    (b.glow_net, "logscale_factor", (0,), (-1, 3)),
    (b.whitening, "power", (-0.1, 1.1), (0, 1)),
    (b.whitening, "shrinkage", (-0.1, 1.1), (0, 1)),
    (b.whitening, "eigenvalue_floor", (0, 1, -1), (1e-9,)),
    (b.affine_map, "bound", (0, -1), (0.1, 3)),
    (flows.uniform, "high", (0, -1), (0.5,)),
    (flows.student_t, "df", (0, -1, 1e9), (0.5, 30)),
]  # fmt: skip


def call(function, name, value):
    return function(**{name: value})


@pytest.mark.parametrize(
    ("function", "name", "wrong", "valid"),
    INTEGERS + NUMBERS,
)
def test_numbers_out_of_range(function, name, wrong, valid):
    integer = any(function is row[0] and name == row[1] for row in INTEGERS)
    optional = name == "components" and function is not flows.mixture
    for value in (*wrong, *(NOT_INTEGERS if integer else NOT_NUMBERS)):
        if value is None and (optional or name in ("levels", "reflections")):
            continue
        with pytest.raises(FlowjaxError, match=f"^{name}: expected"):
            call(function, name, value)
    kinds = (np.int64, np.int32, jnp.asarray) if integer else (np.float32, np.float64, jnp.asarray)
    for value in valid:
        for kind in kinds if abs(value) < 2**31 else (np.int64,):
            call(function, name, kind(value))


def recipe_integers():
    for name in RECIPES:
        for key, option in options_of(name).items():
            if option.annotation in ("int", "int | None"):
                yield name, key, option


@pytest.mark.parametrize(("name", "key", "option"), [*recipe_integers()])
def test_integers_of_recipes(name, key, option):
    """Every integer option of every recipe, also of recipes that are added later."""
    for value in (-1, 1.5, True, "3", NAN, INF):
        with pytest.raises(FlowjaxError, match=f"^{key}: expected"):
            flows.make(name, 8, **{key: value})
    default = 2 if option.default is None else option.default
    flow = flows.make(name, np.int32(8), **{key: np.int64(default)})
    assert type(flow.dim) is int and type(flow.recipe.options[key]) is int
    assert flow.layers == flows.make(name, 8, **{key: default}).layers


@pytest.mark.parametrize("dim", [0, -1, 2.5, "3", None, True, NAN])
@pytest.mark.parametrize("name", RECIPES)
def test_dimensions_of_recipes(name, dim):
    with pytest.raises(FlowjaxError, match=r"^dim: expected"):
        flows.make(name, dim)


def test_a_recipe_may_get_its_dimension_by_name():
    flow = flows.glow(dim=np.int64(4), depth=1)
    again = flows.make(flow.name, flow.dim, **flow.recipe.options)
    assert again.layers == flow.layers and "dim" not in flow.recipe.options
