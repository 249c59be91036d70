"""A job of one process, and errors that mean a lost process.

`faults/test_jobs.py` runs jobs of two processes.
"""

import jax
import numpy as np
import pytest

from flowjax.parallel import processes


def test_a_job_of_one_process():
    assert processes.gather([3, True]).tolist() == [[3, 1]]
    assert processes.gather_arrays((1 / 3, np.arange(2)))[0][0] == 1 / 3
    assert processes.shard() == (0, 1)
    assert not processes.several() and processes.is_first()
    with processes.first_alone() as first:
        assert first


LOST = [
    # raised when the call returns, and before that in the calling thread
    jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed: Connection reset by peer"),
    ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer"),
    jax.errors.JaxRuntimeError("UNAVAILABLE: Socket closed"),
    TimeoutError("Timed out while waiting for async_write_complete barrier."),
    processes.LostProcess("raised before"),
]
OWN = [
    jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 10 bytes."),
    jax.errors.JaxRuntimeError("INTERNAL: Failed to allocate 123 bytes"),
    jax.errors.JaxRuntimeError("FAILED_PRECONDITION: DNN library initialization failed."),
    ValueError("x: expected (n, 2), got (3, 4)"),
    ValueError("/data/great_barrier_reef/3: file truncated"),
    OSError(28, "No space left on device", "/home/gloo/run/checkpoints/3"),
    OSError("cannot read '/home/gloo/run': Input/output error"),
]


@pytest.mark.parametrize("error", LOST, ids=str)
def test_a_lost_process_is_recognised(monkeypatch, error):
    monkeypatch.setattr(processes, "several", lambda: True)
    with pytest.raises(processes.LostProcess, match="another process of this job died") as found:
        with processes.together():
            raise error
    assert str(error) in str(found.value)
    with pytest.raises(processes.LostProcess):
        with processes.together():
            raise RuntimeError("cannot commit") from error


@pytest.mark.parametrize("error", OWN, ids=str)
def test_other_errors_pass_unchanged(monkeypatch, error):
    monkeypatch.setattr(processes, "several", lambda: True)
    with pytest.raises(type(error)) as found:
        with processes.together():
            raise error
    assert found.value is error
    with pytest.raises(ValueError, match="own"):
        with processes.together():
            try:
                raise LOST[0]
            except RuntimeError:
                raise ValueError("my own mistake")  # noqa: B904


def test_a_job_of_one_process_never_raises_lost_process():
    with pytest.raises(ValueError, match="Gloo"):
        with processes.together():
            raise LOST[1]
