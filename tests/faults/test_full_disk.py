"""A full disk raises a clear error, and the last checkpoint stays usable."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from devices import xla_flags

from flowjax.training.checkpoint import Checkpoints

pytestmark = pytest.mark.faults
ROOT = Path(__file__).resolve().parents[2]


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


# Runs the cases of argv[1], each in a folder of its name. Files of the last command of a case are
# limited in size. The cases share one process, because its start takes longer than a case.
COMMAND = """
import json, os, resource, shlex, signal, sys
from flowjax.commands.main import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
cases, infinite, codes = json.loads(sys.argv[1]), resource.RLIM_INFINITY, {}
for name, (size, commands, _) in cases.items():
    os.chdir(name)
    *first, last = map(shlex.split, commands.split(";"))
    assert all(main(argv) == 0 for argv in first)
    print(f"{name} is full", file=sys.stderr)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, infinite))
    codes[name] = main(last)
    resource.setrlimit(resource.RLIMIT_FSIZE, (infinite, infinite))
    print("end of the case", file=sys.stderr)
    os.chdir("..")
print(json.dumps(codes))
"""
FIT = "fit-array x.npy --out r --flow realnvp --flow.depth 2 --flow.width 64 --train.steps 3"
WHITEN = "fit-array x.npy --out r --flow whitening"
SMALL = "fit --data t.txt --out r --flow standardize"
CASES = {
    "config": (100, FIT, "r/config.toml: "),
    "checkpoint": (20_000, FIT, "r/checkpoints: cannot save a checkpoint: "),
    "store": (3_000, SMALL, "r/embeddings/vectors.npy: "),
    "model": (30_000, WHITEN, ".partial/flow.safetensors: "),
    "vectors": (10_000, f"{SMALL}; encode r t.txt --out v.npy", ".v.npy.store/vectors.npy: "),
    "sample": (10_000, f"{WHITEN}; sample r --n 900 --out v.npy", "v.npy: "),
}


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Folder of the cases, the exit code of each case, and the standard error of all."""
    folder = tmp_path_factory.mktemp("full")
    for name in CASES:
        (folder / name).mkdir()
        np.save(folder / name / "x.npy", np.random.default_rng(0).normal(size=(300, 90)))
        text = "".join(f"Person {i} sees the river.\n" for i in range(40))
        (folder / name / "t.txt").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, json.dumps(CASES)],
        cwd=folder,
        # A separate cache, because the limit also truncates the compiled programs.
        env=os.environ
        | {
            "XLA_FLAGS": xla_flags(1),
            "PYTHONPATH": str(ROOT),
            "JAX_COMPILATION_CACHE_DIR": str(folder / "xla"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.end_to_end
@pytest.mark.parametrize("name", CASES)
def test_a_command_reports_a_full_disk_in_one_line_with_the_path(commands, name):
    folder, codes, error = commands
    part = error.partition(f"{name} is full\n")[2].partition("end of the case\n")[0]
    lines = [line for line in part.splitlines() if "warning" not in line]
    lines = [line for line in lines if " steps, " not in line]
    assert codes[name] == 1 and len(lines) == 1, part
    assert CASES[name][2] in lines[0] and "File too large" in lines[0], lines
    left = {file.name for file in (folder / name).iterdir()}
    assert left <= {"x.npy", "t.txt", "r", ".v.npy.store"}, left
