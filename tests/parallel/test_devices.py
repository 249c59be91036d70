"""The mesh, shares of a batch, and the checks around them."""

import jax
import numpy as np
import pytest

from flowjax.parallel import devices


def test_there_are_eight_devices():
    assert len(jax.devices()) == 8, "conftest.py asks XLA for eight host devices"


def test_make_mesh():
    assert devices.make_mesh().size == 8
    assert devices.make_mesh(3).size == 3
    assert devices.make_mesh(jax.devices()[4:6]).devices.tolist() == jax.devices()[4:6]
    for n in (0, 9):
        with pytest.raises(ValueError, match=f"devices: expected 1 to 8 .visible., got {n}"):
            devices.make_mesh(n)


def test_local_rows_is_everything_in_one_process():
    assert devices.local_rows(24, devices.make_mesh(4)) == slice(0, 24)


def test_shard_rows_splits_and_replicate_copies():
    mesh = devices.make_mesh(4)
    x = np.arange(24.0, dtype=np.float32).reshape(2, 12)
    split = devices.shard_rows(x, mesh, axis=1)
    assert [s.data.shape for s in split.addressable_shards] == [(2, 3)] * 4
    copied = devices.replicate({"x": x}, mesh)
    assert [s.data.shape for s in copied["x"].addressable_shards] == [(2, 12)] * 4
    np.testing.assert_array_equal(devices.to_host(copied)["x"], x)


def test_unknown_mapping():
    with pytest.raises(ValueError, match="mapping: expected 'shard_map' or 'pmap', got 'vmap'"):
        devices.data_parallel(lambda s, r, b: (s, {}), devices.make_mesh(1), "vmap")
