"""A new benchmark task is one entry of `TASKS`."""

import subprocess
import sys

import pytest
from toy_files import stsb_line, write

from flowjax.evaluation import STS_YEARS, TASKS, TaskSpec, load_task
from flowjax.evaluation.readers import read_stsb

TOY = TaskSpec(
    files={"dev": "toy-dev.tsv", "test": "toy-test.tsv"},
    folders=("toy",),
    read=read_stsb,
    builder="toy_pairs",
    description="Toy task.",
)


def test_known_tasks():
    assert list(TASKS) == ["stsb", "sickr", *STS_YEARS, "qnli"]
    for spec in TASKS.values():
        assert (spec.read is None) != (spec.read_folder is None)
        assert spec.files and spec.folders and spec.builder and spec.description and spec.url


def test_load_task_reads_a_new_entry(tmp_path, monkeypatch):
    monkeypatch.setitem(TASKS, "toy", TOY)
    write(tmp_path / "sts" / "toy" / "toy-test.tsv", stsb_line(3, "a", "b"))
    task = load_task("toy", tmp_path)
    assert task.pairs("test").gold.tolist() == [3.0]
    assert [note.split(":")[0] for note in task.notes] == ["dev"]


def test_a_new_entry_has_a_tfds_builder(tmp_path):
    """The table of builders is derived on import, hence the new process."""
    pytest.importorskip("tensorflow_datasets")
    write(tmp_path / "toy" / "toy-test.tsv", stsb_line(3, "a", "b"))
    code = (
        "import sys\n"
        "from flowjax.evaluation import TASKS, TaskSpec\n"
        "from flowjax.evaluation.readers import read_stsb\n"
        "TASKS['toy'] = TaskSpec(files={'test': 'toy-test.tsv'}, folders=('toy',), read=read_stsb,"
        " builder='toy_pairs', description='Toy task.')\n"
        "from flowjax.data.tfds import BUILDERS, prepare\n"
        "from flowjax.data.tfds.source import TfdsSource\n"
        "assert 'toy_pairs' in BUILDERS\n"
        "prepare('toy_pairs', data_dir=sys.argv[1], manual_dir=sys.argv[1])\n"
        "print(list(TfdsSource('tfds:toy_pairs/test', data_dir=sys.argv[1])))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['a', 'b']"
