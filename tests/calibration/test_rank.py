"""Ranking of encoders without labels, and its command."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax.calibration.rank import low_rank, rank
from flowjax.commands.main import main
from flowjax.errors import FlowjaxError

N = 600
RNG = np.random.default_rng(0)
HIDDEN = RNG.normal(size=(N, 4))
# All files are functions of the same hidden variables, with independent noise.
FILES = {
    "weak": HIDDEN @ RNG.normal(size=(4, 4)) + 3.0 * RNG.normal(size=(N, 4)),
    **{
        name: HIDDEN @ RNG.normal(size=(4, 4)) + 0.1 * RNG.normal(size=(N, 4))
        for name in ("one", "two", "three")
    },
}


def test_the_context_has_no_effect_until_the_branch_is_trained():
    net_init, net = low_rank(3)
    params = net_init(jax.random.key(0), 7, 5)
    x, u = (jnp.asarray(RNG.normal(size=(9, d)), jnp.float32) for d in (4, 3))
    both, alone = (net(params, jnp.concatenate([x, v], 1)) for v in (u, 0 * u))
    assert np.array_equal(both, alone) and both.shape == (9, 5)
    params["up"] += 1.0
    assert not np.allclose(net(params, jnp.concatenate([x, u], 1)), alone)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rank")
    for name, x in FILES.items():
        np.save(folder / f"{name}.npy", x)
    return folder


def test_informative_vectors_are_first(files, capsys):
    paths = [str(files / f"{name}.npy") for name in FILES]
    assert main(["rank", *paths, "--steps", "60", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    entries = found["ranking"]
    assert sorted(entry["file"] for entry in entries) == sorted(paths)
    assert entries[-1]["file"] == paths[0] and found["sentences"] == N
    assert entries[-2]["score"] > entries[-1]["score"] + 0.1 and entries[0]["dim"] == 4


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"two": FILES["two"][:-1]}, "two: expected vectors of the same sentences, 600 rows"),
        ({"weak": np.full((N, 2), np.nan)}, "weak: expected finite numbers, got nan at row 0"),
        ({"weak": np.ones((N, 1))}, "weak: expected at least 2 columns, got 1"),
        ({"weak": np.ones(N)}, r"weak: expected rows of shape \(n, d\)"),
    ],
)
def test_wrong_arrays_are_refused(change, words):
    with pytest.raises(FlowjaxError, match=words):
        rank(FILES | change)


def test_wrong_arguments_are_refused(files, capsys):
    with pytest.raises(FlowjaxError, match="weak: expected at least 100 rows, got 99"):
        rank({name: x[:99] for name, x in FILES.items()})
    with pytest.raises(FlowjaxError, match="rows: expected an integer of at least 100, got 9"):
        rank(FILES, rows=9)
    one = str(files / "weak.npy")
    for argv, words in (
        ([one], "files: expected two or more arrays, got 1"),
        ([one, one], "weak.npy twice"),
        ([one, str(files / "none.npy")], "none.npy: expected a .npy"),
        ([one, one, "--rows", "9"], "--rows: expected"),
    ):
        assert main(["rank", *argv]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1
