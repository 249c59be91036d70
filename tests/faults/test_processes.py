"""Two processes on loopback are one; one that dies ends the other, and both go on again."""

import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import jobs

pytestmark = pytest.mark.faults
STEPS, BATCH = 160, 32
# Every process reads a row for its shape and all 500 for the flow's data-dependent init.
INIT = 501


def arguments(rows, run):
    train = {"steps": STEPS, "batch-size": BATCH, "checkpoint-every": 40}
    flags = [part for k, v in train.items() for part in (f"--train.{k}", str(v))]
    return ["fit-array", str(rows), "--out", str(run), *jobs.FLOW, *flags]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    rows = jobs.write_rows(folder / "x.npy")
    assert jobs.finish(jobs.start(folder / "job", arguments(rows, folder / "run"))) == [0]
    return rows, jobs.params(folder / "run")


def close(run, expected):
    found = jobs.params(run)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("devices", [1, 2])
def test_two_processes_are_one(tmp_path, alone, devices):
    rows, expected = alone
    run, job = tmp_path / "run", tmp_path / "job"
    processes = jobs.start(job, arguments(rows, run), count=2, devices=devices)
    assert jobs.finish(processes) == [0, 0], (job / "1.log").read_text()
    close(run, expected)
    # Each read its share of the batches, and no more of them.
    for i in range(2):
        read = sum(map(int, (job / f"{i}" / "rows").read_text().split()))
        assert read == STEPS * BATCH // 2 + INIT
    # The second process wrote its part of the checkpoints, and nothing else.
    written = (job / "1" / "written").read_text().splitlines()
    written = [Path(p) for p in written if p.startswith(str(run))]
    assert all(run / "checkpoints" in p.parents or p == run / "checkpoints" for p in written)
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").open()]
    assert steps == sorted(set(steps)) and steps[-1] == STEPS
    assert "fitted realnvp" in (job / "0.log").read_text()
    assert "fitted realnvp" not in (job / "1.log").read_text()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_death_ends_the_other_and_a_restart_goes_on(tmp_path, alone, victim):
    rows, expected = alone
    run = tmp_path / "run"
    processes = jobs.start(tmp_path / "job", arguments(rows, run), count=2, pause=0.1)
    try:
        jobs.until(lambda: jobs.newest(run) >= 40, processes)
        processes[victim].send_signal(signal.SIGKILL)
        died = time.monotonic()
        assert processes[1 - victim].wait(60) != 0
        seconds = time.monotonic() - died
    finally:
        for process in processes:
            process.kill()
    said = (tmp_path / "job" / f"{1 - victim}.log").read_text()
    assert "another process of this job died" in said or "another task died" in said, said
    assert seconds < 60 and not (run / "model").exists()
    again = jobs.start(tmp_path / "again", arguments(rows, run), count=2)
    assert jobs.finish(again) == [0, 0]
    close(run, expected)
    read = sum(map(int, (tmp_path / "again" / "0" / "rows").read_text().split()))
    assert read <= (STEPS - 40) * BATCH // 2 + INIT, "began from the start"
