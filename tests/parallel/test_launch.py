"""Recognition of launchers by their environment variables."""

import os
import socket
import subprocess
import sys

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


@pytest.mark.parametrize(
    ("address", "bound"),
    [
        ("127.0.0.1:1", True),
        ("127.3.0.1:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("10.0.0.1:1", False),
        ("host0:1", False),
    ],
)
def test_a_coordinator_on_this_machine_is_bound_to_the_loopback_interface(address, bound):
    found = launch.launched({"JAX_COORDINATOR_ADDRESS": address})
    assert found.get("coordinator_bind_address") == (address if bound else None)
    own = {"JAX_COORDINATOR_ADDRESS": address, "JAX_COORDINATOR_BIND_ADDRESS": "0.0.0.0:1"}
    assert "coordinator_bind_address" not in launch.launched(own)  # JAX reads the user's variable


LISTEN = """
import re
from pathlib import Path
from flowjax.parallel import launch
launch.initialize()
for name in ("tcp", "tcp6"):
    for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if state == "0A" and int(local.split(":")[1], 16) == PORT:
            print(local.split(":")[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/net")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_coordinator_listens_on_the_loopback_interface_only(host):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {
        "JAX_COORDINATOR_ADDRESS": f"{host}:{port}",
        "JAX_NUM_PROCESSES": "1",
        "JAX_PROCESS_ID": "0",
    }
    code = LISTEN.replace("PORT", str(port))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    # 127.0.0.1, ::ffff:127.0.0.1 and ::1 in the byte order of /proc/net
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "0" * 24 + "01000000"}
    assert {*done.stdout.split()} <= loopback and done.stdout.split()
