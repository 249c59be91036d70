"""Tests of `resolve`: embedded and local encoders, and a hub that may be unreachable."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from flowjax.encoder.opened import open_encoder
from flowjax.encoder.resolve import locate, resolve
from flowjax.encoder.weights import load_pretrained
from flowjax.errors import FlowjaxError
from flowjax.literals import DEFAULT_ENCODER, EMBEDDED

EXPECTED = (
    "encoder 'bert-base-uncased': expected an embedded name (minibert-nli, minibert), a folder"
)


def test_embedded_and_local(goldens, tmp_path, monkeypatch):
    assert [resolve(name).name for name in EMBEDDED] == list(EMBEDDED)
    assert resolve(goldens / "bert") == goldens / "bert"
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    assert resolve("~/model") == tmp_path / "model"


def test_the_default_encoder_has_the_pooling_of_its_training():
    encoder = open_encoder()
    assert (encoder.name, encoder.pooling, encoder.max_length) == (DEFAULT_ENCODER, "mean", 64)
    assert open_encoder("minibert").pooling == "first_last"


@pytest.mark.parametrize("name", ["/no/such", "./no", "../no", "~/no", "a/b/c", "here/a.txt", ""])
def test_names_that_cannot_be_on_the_hub_need_no_network(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers.utils", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.txt").write_text("")
    with pytest.raises(FlowjaxError, match=r"^encoder.*expected") as error:
        resolve(name)
    assert "\n" not in str(error.value)


class Hub:
    """Mock of transformers' `cached_file` that serves a folder or raises an error."""

    def __init__(self, folder, fail=None):
        self.folder, self.fail, self.asked = folder, fail or {}, []

    def __call__(self, name, file, revision=None, _raise_exceptions_for_missing_entries=True):
        self.asked.append(file)
        if file in self.fail:
            raise self.fail[file]
        if (self.folder / file).exists():
            return str(self.folder / file)
        if _raise_exceptions_for_missing_entries and file != "config.json":
            raise OSError(f"{name} does not appear to have a file named {file}.")
        return None


@pytest.fixture
def hub(monkeypatch):
    def make(folder, fail=None):
        made = Hub(folder, fail)
        monkeypatch.setattr("transformers.utils.cached_file", made)
        monkeypatch.setattr("flowjax.encoder.resolve._reach", lambda name, revision: None)
        return made

    return make


@pytest.mark.parametrize(
    "name", ["safetensors", "safetensors_sharded", "flax", "torch_zip", "torch_sharded_bfloat16"]
)
def test_any_format_comes_from_the_hub(goldens, hub, name):
    served = hub(goldens / "formats" / name)
    folder = resolve("someone/some-bert")
    load_pretrained(folder)
    needed = {p.name for p in folder.iterdir() if p.name != "config.json"}
    assert needed <= set(served.asked)
    assert len(served.asked) == len(set(served.asked))


def test_only_the_preferred_weights_are_fetched(goldens, hub, tmp_path):
    for name in ("safetensors", "flax", "torch_zip"):
        shutil.copytree(goldens / "formats" / name, tmp_path, dirs_exist_ok=True)
    served = hub(tmp_path)
    resolve("some-bert")
    assert "flax_model.msgpack" not in served.asked
    assert "pytorch_model.bin" not in served.asked


@pytest.mark.parametrize(
    "error",
    [
        OSError("We couldn't connect to the hub.\nCheck your internet connection."),
        ValueError("bad name"),
        ConnectionError("[Errno -3] Temporary failure in name resolution"),
        RuntimeError(""),
    ],
)
@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_network_error_is_a_single_line(goldens, hub, error, file):
    hub(goldens / "formats" / "safetensors", {file: error})
    with pytest.raises(FlowjaxError) as raised:
        resolve("bert-base-uncased")
    text = str(raised.value)
    assert "\n" not in text
    assert text.startswith(EXPECTED)
    assert (str(error).split("\n")[0] or "RuntimeError") in text


def test_a_hub_without_config_or_weights(goldens, hub, tmp_path):
    hub(tmp_path)
    with pytest.raises(FlowjaxError, match=r"expected config\.json under that name"):
        resolve("nobody/nothing")
    shutil.copy(goldens / "bert" / "config.json", tmp_path)
    with pytest.raises(FlowjaxError, match=r"expected weights \(model\.safetensors, flax"):
        resolve("nobody/nothing")


def test_a_shard_that_the_hub_lacks(goldens, hub, tmp_path):
    shutil.copytree(goldens / "formats" / "safetensors_sharded", tmp_path, dirs_exist_ok=True)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    (tmp_path / sorted(set(index["weight_map"].values()))[1]).unlink()
    hub(tmp_path)
    with pytest.raises(FlowjaxError, match=r"file named model-00002-of-00002\.safetensors"):
        resolve("someone/some-bert")


def test_offline_with_the_real_client(tmp_path):
    """Runs the real transformers in offline mode with an empty cache."""
    code = (
        "from flowjax.encoder.resolve import resolve\n"
        "try: resolve('bert-base-uncased')\n"
        "except ValueError as error: print(str(error))\n"
    )
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(EXPECTED)
    assert "offline" in lines[0].lower()


def test_an_unreachable_hub_fails_immediately(tmp_path):
    """Runs the real client against a closed port: one attempt, without retries."""
    code = (
        "import time, transformers.utils\n"
        "from flowjax.encoder.resolve import resolve\n"
        "began = time.monotonic()\n"
        "try: resolve('bert-base-uncased')\n"
        "except ValueError as error: print(str(error))\n"
        "print(time.monotonic() - began)\n"
    )
    env = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    env.pop("HF_HUB_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    message, seconds = done.stdout.splitlines()
    assert message.startswith(EXPECTED)
    assert float(seconds) < 10


def cached(home, folder, revision="c0ffee"):
    """Writes the files of a folder into a cache of the hub, as a download would."""
    repo = home / "hub" / "models--someone--some-bert"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(revision)
    shutil.copytree(folder, repo / "snapshots" / revision)
    return repo / "snapshots" / revision


@pytest.mark.parametrize("offline", [False, True])
def test_files_in_the_cache_suffice_without_a_network(goldens, tmp_path, offline):
    """Optional files that the cache lacks cost one attempt in total."""
    snapshot = cached(tmp_path, goldens / "formats" / "torch_zip")
    code = (
        "import time, transformers.utils\n"
        "from flowjax.encoder.resolve import locate\n"
        "began = time.monotonic()\n"
        "print(*locate('someone/some-bert'))\n"
        "print(*locate('someone/some-bert', 'c0ffee'))\n"
        "print(time.monotonic() - began)\n"
    )
    env = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    env.pop("HF_HUB_OFFLINE", None)
    if offline:
        env["HF_HUB_OFFLINE"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    first, second, seconds = done.stdout.splitlines()
    assert first == second == f"{snapshot} True c0ffee"
    assert float(seconds) < 12
    assert "Retrying" not in done.stderr


def test_the_settings_of_sentence_transformers_come_from_the_hub(goldens, hub, tmp_path):
    folder = tmp_path / "served"
    shutil.copytree(goldens / "formats" / "safetensors", folder)
    types = ["Transformer", "Pooling"]
    modules = [{"path": path, "type": f"x.{kind}"} for path, kind in zip(["", "1_Pooling"], types)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_roberta_config.json").write_text("{}")
    served = hub(folder)
    locate("someone/some-bert")
    wanted = {"1_Pooling/config.json", "sentence_roberta_config.json"}
    assert wanted <= set(served.asked) and "sentence_xlm-roberta_config.json" not in served.asked


def test_a_revision_is_never_a_local_folder(goldens, hub, tmp_path, monkeypatch):
    served = hub(goldens / "formats" / "safetensors")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "someone" / "some-bert").mkdir(parents=True)
    assert not locate("someone/some-bert").by_name and not served.asked
    locate("someone/some-bert", "v1.0")
    assert served.asked


def test_all_files_are_of_one_commit(goldens, tmp_path, monkeypatch):
    """A name whose branch moves on during the download gives the files of the first commit."""
    snapshot = cached(tmp_path, goldens / "formats" / "safetensors")
    asked = []

    def cached_file(name, file, revision=None, **options):
        asked.append((file, revision))
        return str(snapshot / file) if (snapshot / file).exists() else None

    monkeypatch.setattr("transformers.utils.cached_file", cached_file)
    monkeypatch.setattr("flowjax.encoder.resolve._reach", lambda name, revision: None)
    found = locate("someone/some-bert")
    assert (found.folder, found.by_name, found.revision) == (snapshot, True, "c0ffee")
    assert asked[0] == ("config.json", None)
    assert {revision for _, revision in asked[1:]} == {"c0ffee"}
