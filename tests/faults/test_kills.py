"""Kills (SIGKILL) at random times of a fit, also in saves and validations, change no bit."""

import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from grids import grid

sys.path.insert(0, str(Path(__file__).parent))
import jobs

pytestmark = [pytest.mark.faults, pytest.mark.end_to_end]


def arguments(rows, run, steps):
    train = jobs.flags("train", steps=steps, batch_size=32, checkpoint_every=2, validation=0.2)
    return ["fit-array", rows, "--out", run, *jobs.FLOW, *train]


@pytest.mark.parametrize("kills", grid([1, 20], slow=[20]))
def test_a_killed_and_resumed_fit_equals_an_uninterrupted_one(tmp_path, kills):
    rows, steps = jobs.write_rows(tmp_path / "x.npy"), 30 * kills
    assert jobs.finish(jobs.start(tmp_path / "a", arguments(rows, tmp_path / "whole", steps))) == [
        0
    ]
    run, rng, seen = tmp_path / "run", random.Random(kills), []
    for _ in range(kills):
        (process,) = jobs.start(tmp_path / "b", arguments(rows, run, steps))
        try:
            before = jobs.newest(run)
            jobs.until(lambda: jobs.newest(run) > before, [process])  # noqa: B023
            time.sleep(rng.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL, "the process ended before it was killed"
        finally:
            process.kill()
        seen.append(jobs.newest(run))
    assert seen == sorted(set(seen)) and seen[-1] < steps
    assert jobs.finish(jobs.start(tmp_path / "b", arguments(rows, run, steps))) == [0]
    expected, found = jobs.params(tmp_path / "whole"), jobs.params(run)
    assert all(np.array_equal(found[name], value) for name, value in expected.items())
