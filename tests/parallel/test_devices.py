"""Device mesh, shards of a batch, and their checks."""

import jax
import numpy as np
import pytest

from flowjax.errors import FlowjaxError
from flowjax.parallel import devices


def test_there_are_eight_devices():
    assert len(jax.devices()) == 8, "expected the eight host devices that conftest.py sets"


def test_make_mesh():
    assert devices.make_mesh().size == 8
    assert devices.make_mesh(3).size == 3
    assert devices.make_mesh(jax.devices()[4:6]).devices.tolist() == jax.devices()[4:6]
    for n in (0, 9):
        with pytest.raises(FlowjaxError, match=f"devices: .* from 1 to 8, got {n}"):
            devices.make_mesh(n)


def test_local_rows_are_all_rows_in_a_job_of_one_process():
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
    with pytest.raises(FlowjaxError, match="mapping: expected 'shard_map' or 'pmap', got 'vmap'"):
        devices.data_parallel(lambda s, r, b: (s, {}), devices.make_mesh(1), "vmap")
