"""Recognition of launchers by their environment variables."""

import pytest

from flowjax.errors import FlowjaxError
from flowjax.parallel import launch


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
    assert launch.launched(environment) == expected


def test_a_full_description_needs_no_cluster_detection():
    names = {"JAX_COORDINATOR_ADDRESS": "a:1", "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "x"}
    with pytest.raises(FlowjaxError, match="JAX_PROCESS_ID: expected a number, got 'x'"):
        launch.launched(names)
    found = launch.launched({**names, "JAX_PROCESS_ID": "1"})
    assert (found["num_processes"], found["process_id"]) == (2, 1)
    assert found["cluster_detection_method"] == "deactivate"


def test_leave_returns_without_peer_processes():
    launch.leave(1)
