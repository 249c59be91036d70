"""Scripts and manifests in docs/launch, with the linters that are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "launch"
SCRIPTS = sorted([*FOLDER.glob("*.sh"), *FOLDER.glob("*.slurm")])
MANIFESTS = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts(path):
    subprocess.run(["bash", "-n", path], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", path], check=True)


def pods(document):
    """Yields the pod templates of a KubeRay job as pods, whose schema is known."""
    cluster = document["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod"},
            **group["template"],
        }


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests(path):
    yaml = pytest.importorskip("yaml")
    documents = list(yaml.safe_load_all(path.read_text()))
    assert all({"apiVersion", "kind", "metadata"} <= set(document) for document in documents)
    validate = pytest.importorskip("kubernetes_validate").validate
    for document in documents:
        checked = pods(document) if document["kind"] == "RayJob" else [document]
        for item in checked:
            validate(item, "1.31", strict=True)
