"""A full disk raises a clear error, and the last checkpoint stays usable."""

import resource
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax.training.checkpoint import Checkpoints

pytestmark = pytest.mark.faults


def state(value):
    return {"step": jnp.int32(value), "w": jax.random.normal(jax.random.key(value), (90, 700))}


@pytest.fixture
def full():
    """Returns a function that limits files to 20 kB, so that writes fail as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))

    yield fill
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("when", ["at once", "at the next save", "at the end"])
def test_the_error_is_clear_and_the_last_checkpoint_stays(tmp_path, full, when):
    with pytest.raises(
        OSError, match=r"cannot save a checkpoint: .*File too large.*last saved: step 1$"
    ):
        with Checkpoints(tmp_path) as checkpoints:
            checkpoints.save(1, state(1), wait=True)
            full()
            checkpoints.save(2, state(2), wait=when == "at once")
            if when == "at the next save":
                checkpoints.save(3, state(3), wait=True)
    resource.setrlimit(
        resource.RLIMIT_FSIZE,
        (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_FSIZE)[1]),
    )
    with Checkpoints(tmp_path) as checkpoints:
        step, read = checkpoints.restore(state(0))
    assert step == 1 and np.array_equal(read["w"], state(1)["w"])
