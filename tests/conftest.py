"""Eight host devices for every test, so that data-parallel code is run as such."""

import os
from pathlib import Path

# Before jax is imported; an outer setting wins.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import hypothesis
import pytest

hypothesis.settings.register_profile("ci", deadline=None, print_blob=True)
hypothesis.settings.load_profile("ci")


@pytest.fixture(autouse=True, scope="module")
def bounded_memory():
    """Deletes compiled programs after a module if the process is larger than 2 GiB."""
    yield
    resident = Path("/proc/self/statm")
    if resident.exists():
        import jax

        if int(resident.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > 2 << 30:
            jax.clear_caches()


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A finished run of a few steps on some short sentences, with a file of graded pairs.

    `(folder, file of sentences, file of pairs)`.
    """
    from flowjax.commands.main import main
    from flowjax.data.sample import pairs_file

    folder = tmp_path_factory.mktemp("tiny")
    text = folder / "sentences.txt"
    # Short ones only: few shapes to compile.
    pairs = folder / "pairs.tsv"
    head, *rows = pairs_file().read_text("utf-8").splitlines()
    lines = dict.fromkeys(s for row in rows for s in row.split("\t")[1:] if len(s.split()) < 9)
    text.write_text("\n".join(list(lines)[:400]) + "\n")
    rows = [row for row in rows if len(row.split()) < 18]
    pairs.write_text("\n".join([head, *rows[:80]]) + "\n")
    argv = ["fit", "--data", str(text), "--out", str(folder / "run"), "--train.steps", "20"]
    assert main([*argv, "--flow", "glow"]) == 0
    return folder / "run", text, pairs
