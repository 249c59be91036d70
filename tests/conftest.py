"""Eight host devices and one cache of compiled programs for all tests, and shared fixtures."""

import atexit
import ctypes
import gc
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

# Before jax is imported; an outer setting wins. Most of the time of the tests is compilation of
# small programs, so XLA optimises little and generates each program in one part. The weekly job
# runs all tests with the settings of users: XLA_FLAGS=--xla_force_host_platform_device_count=8
# JAX_DISABLE_MOST_OPTIMIZATIONS=0.
FLAGS = "--xla_force_host_platform_device_count=8 --xla_cpu_parallel_codegen_split_count=1"
if version("jaxlib").startswith("0.10."):  # XLA ends the process at a flag that it does not know
    FLAGS += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", FLAGS)
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
# Each worker of xdist has a core; more threads of BLAS would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Workers and the processes that tests start share the compiled programs of this run. Many tests
# build equal flows and encoders, which `jax.jit` alone would compile again.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="flowjax-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import hypothesis
import pytest

# Flags of a flow that compiles fast; the same flags in all tests share compiled programs.
SMALL_GLOW = "--flow glow --flow.levels 1 --flow.depth 1 --flow.width 8".split()

hypothesis.settings.register_profile("ci", deadline=None, print_blob=True)
hypothesis.settings.load_profile("ci")


RESIDENT = Path("/proc/self/statm")
LIMIT, GROWTH = 1.0 * 2**30, 0.3 * 2**30  # bytes


def resident():
    """Returns the resident memory of this process in bytes; 0 where it is not known."""
    if not RESIDENT.exists():
        return 0
    return int(RESIDENT.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item):
    """Deletes compiled programs if the process is large and has grown since the last deletion."""
    session = item.session
    if resident() > max(LIMIT, getattr(session, "least_memory", 0) + GROWTH):
        import jax

        jax.clear_caches()
        gc.collect()
        if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):  # glibc keeps what is freed
            trim(0)
        session.least_memory = resident()


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
    assert main([*argv, *SMALL_GLOW]) == 0
    return folder / "run", text, pairs
