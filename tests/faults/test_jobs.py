"""Jobs of two processes: equal results to one process, death of a process, and restart."""

import json
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
STEPS, BATCH, ROWS, HELD = 160, 32, 500, 100
# Rows that each process reads besides its batches and validations at most: for the checks of the
# data, the initial parameters, the first validation, and the likelihood of the result.
PASSES = 4 * ROWS
# Each process reads half of the held-out rows in each of the 20 validations.
VALIDATION = HELD // 2 * 20


def arguments(rows, run):
    train = jobs.flags("train", steps=STEPS, batch_size=BATCH, checkpoint_every=40)
    held = jobs.flags("train", validation=HELD / ROWS, patience=9)
    return ["fit-array", rows, "--out", run, *jobs.FLOW, *train, *held]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    rows = jobs.write_rows(folder / "x.npy")
    assert jobs.finish(jobs.start(folder / "job", arguments(rows, folder / "run"))) == [0]
    return rows, jobs.params(folder / "run")


def close(run, expected, file="flow.safetensors"):
    found = jobs.params(run, file)
    assert found.keys() == expected.keys()
    # Four devices round sums differently, also in one process. Adam divides gradients by their
    # size: one near 0 moves a parameter by up to the learning rate, 1e-3, in each step.
    differences = {name: np.abs(found[name] - value) for name, value in expected.items()}
    assert np.median(np.concatenate([d.ravel() for d in differences.values()])) < 1e-5
    assert max(d.max() for d in differences.values()) < 5e-3, differences


def written_by_second(job, run):
    """Returns the files and folders in the run folder that the second process wrote to."""
    written = (job / "1" / "written").read_text().splitlines()
    return {Path(p).relative_to(run).parts[0] for p in written if p.startswith(str(run) + "/")}


def read_rows(job, process, how="rows"):
    return sum(map(int, (job / f"{process}" / how).read_text().split()))


# `test_fit_on_two_processes_equals_fit_on_one` has processes of one device.
@pytest.mark.parametrize("devices", grid([1, 2], slow=[1]))
def test_two_processes_equal_one(tmp_path, alone, devices):
    rows, expected = alone
    run, job = tmp_path / "run", tmp_path / "job"
    processes = jobs.start(job, arguments(rows, run), count=2, devices=devices)
    assert jobs.finish(processes) == [0, 0], (job / "1.log").read_text()
    close(run, expected)
    # each process read its half of the batches, of the validations, and of the rows to check
    for i in range(2):
        assert 0 < read_rows(job, i) - STEPS * BATCH // 2 - VALIDATION <= PASSES
        assert read_rows(job, i, "checked") == ROWS // 2
    assert written_by_second(job, run) == {"checkpoints"}
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").open()]
    # the last line repeats the last step, with the likelihood of the finished flow
    assert steps[:-1] == sorted(set(steps)) and steps[-1] == STEPS
    assert "fitted realnvp" in (job / "0.log").read_text()
    assert "fitted realnvp" not in (job / "1.log").read_text()


@pytest.mark.parametrize(
    "deaths", [((0, 40),), pytest.param(((1, 40), (0, 80)), marks=pytest.mark.slow)], ids=len
)
def test_a_death_ends_the_other_process_and_a_restart_resumes(tmp_path, alone, deaths):
    """Processes die at different checkpoints of the same run; process 0 is the coordinator."""
    rows, expected = alone
    run = tmp_path / "run"
    for victim, step in deaths:
        job = tmp_path / f"job{victim}"
        processes = jobs.start(job, arguments(rows, run), count=2, pause=0.05)
        try:
            jobs.until(lambda: jobs.newest(run) >= step, processes)  # noqa: B023
            processes[victim].send_signal(signal.SIGKILL)
            died = time.monotonic()
            assert processes[1 - victim].wait(300) != 0
            seconds = time.monotonic() - died
        finally:
            for process in processes:
                process.kill()
        log = (job / f"{1 - victim}.log").read_text()
        assert "another process of this job died" in log or "another task died" in log, log
        assert seconds < 200 and not (run / "model").exists()
    again = jobs.start(tmp_path / "again", arguments(rows, run), count=2)
    assert jobs.finish(again) == [0, 0]
    close(run, expected)
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").open()]
    assert steps.count(steps[0]) == 1, "a restart did not resume"


@pytest.mark.parametrize(
    ("flow", "before", "after"),
    [pytest.param("whitening_glow", 1, 0, marks=pytest.mark.slow), ("glow", 0, 1)],
)
def test_passes_over_all_rows_are_sharded(tmp_path, flow, before, after):
    """Passes over 501 rows for a whitening, before or after the training, and the likelihood."""
    rows, steps = jobs.write_rows(tmp_path / "x.npy", n=501), 4
    train = jobs.flags("train", steps=steps, batch_size=BATCH)
    options = jobs.flags("flow", name=flow, levels=1, depth=1, width=8)
    command = ["fit-array", rows, *options, *train, "--out"]
    one, two, job = tmp_path / "one", tmp_path / "two", tmp_path / "job"
    finished(tmp_path / "alone", [*command, one])
    finished(job, [*command, two], 2)
    close(two, jobs.params(one))
    for i, shard in enumerate((250, 251)):
        assert read_rows(job, i, "checked") == shard
        # one more pass for the moments of the Gaussian
        assert read_rows(job, i, "passed") == (before + 1) * shard
    # The second shard has one more row. Sharded passes by row number: the whitening of the
    # latents, and the likelihoods of the flow and of the Gaussian.
    assert read_rows(job, 1) - read_rows(job, 0) == after + 2


def test_all_processes_report_the_first_row_that_is_not_finite(tmp_path):
    """The shard of the first process is finite, and those of the two others are not."""
    rows = np.load(jobs.write_rows(tmp_path / "x.npy"))
    rows[[200, 400], 2] = np.nan
    np.save(tmp_path / "x.npy", rows)
    job = tmp_path / "job"
    codes = jobs.finish(jobs.start(job, arguments(tmp_path / "x.npy", tmp_path / "run"), count=3))
    lines = [(job / f"{i}.log").read_text().splitlines()[-1] for i in range(3)]
    assert codes == [2, 2, 2] and len(set(lines)) == 1, lines
    assert lines[0].endswith("expected finite numbers, got nan at row 200, column 2")


def sentences(path, n):
    rng, words = np.random.default_rng(0), [f"w{i}" for i in range(40)]
    path.write_text("".join(" ".join(rng.choice(words, 6)) + "\n" for _ in range(n)))
    return path


def finished(job, arguments, count=1):
    """Runs the command on `count` processes and checks that it succeeds."""
    codes = jobs.finish(jobs.start(job, arguments, count=count))
    assert codes == [0] * count, (job / "0.log").read_text()


def metrics(run, *names):
    rows = map(json.loads, (run / "metrics.jsonl").open())
    return [[row[name] for name in names if name in row] for row in rows]


def test_fit_on_two_processes_equals_fit_on_one(tmp_path):
    text = sentences(tmp_path / "text.txt", 90)
    train = jobs.flags("train", steps=12, batch_size=8, validation=0.2, checkpoint_every=5)
    one, two, job = tmp_path / "one", tmp_path / "two", tmp_path / "job"
    finished(tmp_path / "alone", ["fit", "--data", text, "--out", one, *jobs.FLOW, *train])
    finished(job, ["fit", "--data", text, "--out", two, *jobs.FLOW, *train], 2)
    close(two, jobs.params(one))
    # each process embedded a part of the sentences
    journals = sorted((two / "embeddings").glob("*.jsonl"))
    assert len(journals) == 2 and all('"block"' in file.read_text() for file in journals)
    assert written_by_second(job, two) == {"checkpoints", "embeddings"}
    names = "step", "nll_nats", "validation_nll_nats"
    for a, b in zip(metrics(one, *names), metrics(two, *names), strict=True):
        assert a == pytest.approx(b, rel=1e-5)


@pytest.mark.slow
def test_pretrain_on_two_processes_equals_pretrain_on_one(tmp_path):
    text = sentences(tmp_path / "text.txt", 400)
    arguments = [
        *("pretrain", "--text", text, "--heldout", text, "--data.length", 32),
        *jobs.flags("model", layers=1, width=16, heads=2, vocab_size=80, ppmi_rows=40),
        *jobs.flags("train", steps=8, batch_size=8, warmup_steps=2, decay_steps=2),
        *jobs.flags("train", validate_every=4, export_every=4, checkpoint_every=3),
        *jobs.flags("train", save_dtype="float32"),
    ]
    one, two, job = tmp_path / "one", tmp_path / "two", tmp_path / "job"
    finished(job, [*arguments, "--out", two], 2)
    # the same vocabulary, because the tokenizer's training breaks ties at random
    tokenizer = ["--data.tokenizer", two / "tokenizer"]
    finished(tmp_path / "alone", [*arguments, *tokenizer, "--out", one])
    close(two, jobs.params(one, "model.safetensors"), "model.safetensors")
    assert written_by_second(job, two) == {"checkpoints"}
    names = "learning_rate", "loss", "heldout_loss"
    last = [metrics(run, "step", *names)[-1] for run in (one, two)]
    assert len(last[0]) == 4 and last[0] == pytest.approx(last[1], abs=1e-4)
    assert (job / "0.log").read_text().count('"heldout_loss"') == 1
    assert "heldout_loss" not in (job / "1.log").read_text()
    assert sorted(p.name for p in (two / "encoders").iterdir()) == ["4", "8"]
