"""Starts one Ray cluster of three nodes on this machine; defines a cheap encoder."""

import os

import numpy as np
import pytest

NODE = {"num_cpus": 2, "object_store_memory": 80 << 20, "include_log_monitor": False}


class Cheap:
    """Encoder without a network: lengths and counts of letters; waits and fails on request.

    Attributes:
        pause: seconds per call of at least 10 sentences.
        fatal: a sentence at which the process kills itself, as the kernel does without memory.
        mark: file whose absence limits `fatal` to one time.
    """

    name = "cheap"

    def __init__(self, pause=0.0, fatal="", mark=""):
        self.pause, self.fatal, self.mark = pause, fatal, mark

    def encode(self, sentences):
        import time

        if len(sentences) >= 10:
            time.sleep(self.pause)
        if self.fatal and self.fatal in sentences:
            if not self.mark or not os.path.exists(self.mark):
                if self.mark:
                    open(self.mark, "w").close()
                os.kill(os.getpid(), 9)
        counts = [[len(s), s.count("a"), s.count("e"), hash_of(s)] for s in sentences]
        return np.array(counts, np.float32)


def hash_of(text):
    import zlib

    return zlib.crc32(text.encode()) % 65521


@pytest.fixture(scope="session")
def s3():
    """Starts an S3 server, if moto is installed, and returns its bucket; otherwise None.

    The nodes of the cluster inherit its address, so it starts first.
    """
    try:
        import s3fs
        from moto.server import ThreadedMotoServer
    except ImportError:
        yield None
        return
    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        s3fs.S3FileSystem().mkdir("corpus")
        yield "s3://corpus"
    server.stop()


@pytest.fixture(scope="session")
def cluster(s3):
    """Returns a running cluster; the tests of this process are its driver."""
    pytest.importorskip("ray.data")
    import sys

    import ray
    from ray import cloudpickle
    from ray.cluster_utils import Cluster

    cloudpickle.register_pickle_by_value(sys.modules[Cheap.__module__])
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    found = Cluster(
        initialize_head=True,
        head_node_args={**NODE, "include_dashboard": False, "no_monitor": True},
    )
    try:
        for _ in range(2):
            found.add_node(**NODE)
        ray.init(address=found.address)
        yield found
    finally:
        ray.shutdown()
        found.shutdown()


@pytest.fixture
def cheap():
    return Cheap


@pytest.fixture
def options():
    return NODE
