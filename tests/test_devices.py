"""The mesh, shares of a batch, and the checks around them."""

import jax
import numpy as np
import pytest

from flowjax import devices


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


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "a"}, None),
        ({"SLURM_NTASKS": "4"}, None),
        ({"SLURM_NTASKS": "4", "SLURM_STEP_NODELIST": "a[1-4]"}, {}),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, {}),
        ({"TPU_WORKER_HOSTNAMES": "a"}, None),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, {}),
        ({"KUBERNETES_SERVICE_HOST": "a"}, None),
        ({"KUBERNETES_SERVICE_HOST": "a", "FLOWJAX_DISTRIBUTED": "1"}, {}),
        ({"JAX_COORDINATOR_ADDRESS": "a:1"}, {"coordinator_address": "a:1"}),
    ],
)
def test_launchers_are_recognised(environment, expected):
    assert devices.launched(environment) == expected


def test_a_full_description_asks_no_cluster():
    names = {"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "x"}
    with pytest.raises(ValueError, match="JAX_PROCESS_ID: expected a number, got 'x'"):
        devices.launched(names)
    found = devices.launched({**names, "JAX_PROCESS_ID": "1"})
    assert (found["num_processes"], found["process_id"]) == (2, 1)
    assert found["cluster_detection_method"] == "deactivate"


def test_one_process_agrees_with_itself():
    assert devices.gather([3, True]).tolist() == [[3, 1]]
    assert devices.gather_arrays((1 / 3, np.arange(2)))[0][0] == 1 / 3
    assert devices.share() == (0, 1)
    assert not devices.several() and devices.is_first()
    with devices.first_alone() as first:
        assert first
    devices.leave(1)  # comes back: it leaves nobody behind
