"""Params survive the file bit for bit; damage and misfits are named."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from flowjax.saving.params import load_params, save_params

LEAF = hnp.arrays(
    st.sampled_from([np.float32, np.float64, np.int32, np.uint8, np.bool_, np.float16]),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
)
KEY = st.text("abcdefgh_0123", min_size=1, max_size=4)
TREE = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.dictionaries(KEY, inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=3),
    ),
    max_leaves=8,
)


class Pair(NamedTuple):
    loc: np.ndarray
    scale: np.ndarray


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype and x.shape == y.shape
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_any_tree_round_trips(tmp_path_factory):
    path = tmp_path_factory.mktemp("params") / "p.safetensors"

    @settings(max_examples=60)
    @given(TREE)
    def check(tree):
        save_params(tree, path)
        same(load_params(path, tree), tree)

    check()


def test_jax_arrays_namedtuples_and_views(tmp_path):
    path = tmp_path / "p.safetensors"
    tree = {
        "layers": (Pair(jnp.arange(6.0).reshape(2, 3), jnp.ones((), jnp.bfloat16)), None),
        "view": np.arange(12.0).reshape(3, 4).T,
    }
    save_params(tree, path)
    same(load_params(path, tree), tree)
    shapes = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, tree))
    assert np.array_equal(load_params(path, shapes)["view"], tree["view"])
    assert list(tmp_path.iterdir()) == [path]


def test_misfits_are_named(tmp_path):
    path = tmp_path / "p.safetensors"
    save_params({"a": {"b": np.zeros((2, 3))}}, path)
    for like, said in [
        ({"a": {"b": np.zeros((3, 2))}}, r"'a/b': expected \(3, 2\), got \(2, 3\)"),
        (
            {"a": {"b": np.zeros((2, 3)), "c": np.zeros(1)}},
            r"'a/c': expected \(1,\), got no such tensor",
        ),
        ({"a": {}}, r"'a/b': expected no such tensor, got \(2, 3\)"),
    ]:
        with pytest.raises(ValueError, match=rf"p\.safetensors: tensor {said}"):
            load_params(path, like)


def test_names_that_collide(tmp_path):
    path = tmp_path / "p.safetensors"
    with pytest.raises(ValueError, match="got 'a/b' twice"):
        save_params({"a/b": np.zeros(1), "a": {"b": np.ones(1)}}, path)
    assert not list(tmp_path.iterdir())


def test_damage(tmp_path):
    path = tmp_path / "p.safetensors"
    like = {"a": np.arange(100.0)}
    with pytest.raises(ValueError, match="expected a file of parameters"):
        load_params(path, like)
    save_params(like, path)
    whole = path.read_bytes()
    for raw in (b"", whole[:5], whole[:50], whole[:-1], whole + b"x", b"\xff" * 100):
        path.write_bytes(raw)
        with pytest.raises(ValueError, match=r"p\.safetensors: "):
            load_params(path, like)
    path.unlink()
    path.mkdir()
    with pytest.raises(ValueError, match=r"p\.safetensors: "):
        load_params(path, like)


def test_a_failed_save_leaves_what_is_there(tmp_path):
    path = tmp_path / "p.safetensors"
    save_params({"a": np.ones(2)}, path)
    with pytest.raises(Exception):  # noqa: B017 - whatever safetensors raises
        save_params({"a": np.array(["text"])}, path)
    same(load_params(path, {"a": np.ones(2)}), {"a": np.ones(2)})
    assert list(tmp_path.iterdir()) == [path]
