"""A signal while `fit` embeds stops the command at once; the same command resumes."""

import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import jobs

pytestmark = [pytest.mark.faults, pytest.mark.end_to_end]
SENTENCES = 40_000


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(f"Person {i} sees the old river.\n" for i in range(SENTENCES)))
    return path


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGHUP, 129),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
    ],
)
def test_a_signal_stops_the_embedding_at_once_and_keeps_its_blocks(tmp_path, text, number, code):
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("the parent process ignores this signal, as nohup does")
    run, job = tmp_path / "run", tmp_path / "job"
    (process,) = jobs.start(job, ["fit", "--data", text, "--out", run, *jobs.FLOW])
    journal = run / "embeddings" / "journal-0.jsonl"
    try:
        jobs.until(lambda: journal.exists() and journal.stat().st_size, [process])
        process.send_signal(number)
        sent = time.monotonic()
        assert process.wait(300) == code
        seconds = time.monotonic() - sent
    finally:
        process.kill()
    log = (job / "0.log").read_text()
    assert log.splitlines()[-1] == "flowjax fit: stopped; repeat the command to resume"
    assert "Traceback" not in log and seconds < 60, log  # seconds on an idle machine: < 1
    assert 0 < journal.read_text().count('"block"') < SENTENCES // 16
    assert not (run / ".lock").exists() and not (run / "model").exists()
