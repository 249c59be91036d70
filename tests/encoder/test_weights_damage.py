"""Tests of damaged and malicious checkpoints: a single error, and no code of the file runs."""

import json
import os
import pickle
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from flowjax.encoder.weights import load_pretrained, tensorflow_file, torch_file
from flowjax.errors import FlowjaxError

FILES = {
    "safetensors": "model.safetensors",
    "safetensors_sharded": "model-00002-of-00002.safetensors",
    "flax": "flax_model.msgpack",
    "torch_zip": "pytorch_model.bin",
    "torch_legacy": "pytorch_model.bin",
    "torch_sharded_bfloat16": "pytorch_model-00002-of-00002.bin",
    "tensorflow": "bert_model.ckpt.index",
}


def one_line_error(folder, file):
    with pytest.raises(FlowjaxError) as error:
        load_pretrained(folder)
    text = str(error.value)
    assert str(file) in text or str(file.parent) in text
    assert "\n" not in text
    assert len(text) < 600
    return text


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.999])
def test_truncated_files(formats, name, keep):
    file = formats / name / FILES[name]
    raw = file.read_bytes()
    file.write_bytes(raw[: int(keep * len(raw))])
    assert "cannot be read" in one_line_error(file.parent, file)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_a_truncated_tensorflow_data_file(formats, keep):
    folder = formats / "tensorflow"
    file = folder / "bert_model.ckpt.data-00000-of-00001"
    raw = file.read_bytes()
    file.write_bytes(raw[: int(keep * len(raw))])
    one_line_error(folder, folder / "bert_model.ckpt.index")
    file.unlink()
    assert "expected the data file bert_model.ckpt.data-00000" in one_line_error(
        folder, folder / "bert_model.ckpt.index"
    )


@pytest.mark.parametrize("name", FILES)
def test_garbage(formats, name):
    file = formats / name / FILES[name]
    for garbage in (b"", b"\n", b"<html>not found</html>", b"\x80\x02.", b"PK\x03\x04", bytes(99)):
        file.write_bytes(garbage)
        one_line_error(file.parent, file)


@pytest.mark.parametrize("name", FILES)
def test_any_changed_byte(formats, name):
    """A file with a changed byte loads or raises `FlowjaxError`, no other exception."""
    file = formats / name / FILES[name]
    raw = file.read_bytes()
    random = np.random.default_rng(0)
    # Half of the positions are in the first kilobyte, which holds the structure in most formats.
    places = [*random.integers(0, min(1024, len(raw)), 30), *random.integers(0, len(raw), 30)]
    for place in places:
        damaged = bytearray(raw)
        damaged[place] ^= int(random.integers(1, 256))
        file.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                load_pretrained(file.parent)
            except FlowjaxError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["safetensors_sharded", "torch_sharded_bfloat16"])
def test_indices_of_shards(formats, name):
    folder = formats / name
    (index,) = folder.glob("*.index.json")
    values = json.loads(index.read_text())
    tensor, shard = next(iter(values["weight_map"].items()))
    (folder / shard).rename(folder / "elsewhere")
    assert f"expected the shard {shard}, got no such file" in one_line_error(folder, index)
    for wrong in ("{", "[]", "{}", '{"weight_map": 1}'):
        index.write_text(wrong)
        assert "expected JSON with a weight_map" in one_line_error(folder, index)
    for outside in ("../" + shard, "/etc/passwd", 7):
        index.write_text(json.dumps({"weight_map": {tensor: outside}}))
        assert "expected names of files in its folder" in one_line_error(folder, index)


class Evil:
    """Object whose pickle calls a function when an unrestricted unpickler reads it."""

    def __init__(self, call, *args):
        self.call, self.args = call, args

    def __reduce__(self):
        return self.call, self.args


def zip_file(path, payload):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/data/0", bytes(64))


def legacy_file(path, payload):
    head = [torch_file._MAGIC, 1001, {"little_endian": True}]
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in head) + payload)


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("container", [zip_file, legacy_file, lambda p, b: p.write_bytes(b)])
def test_a_malicious_pickle_runs_no_code(formats, tmp_path, container, protocol):
    folder, mark = formats / "torch_zip", tmp_path / "written"
    calls = [
        (os.system, f"touch {mark}"),
        (open, str(mark), "w"),
        (eval, f"open({str(mark)!r}, 'w')"),
        (getattr, "os", "system"),
    ]
    for call, *args in calls:
        payload = pickle.dumps({"bert.pooler.dense.weight": Evil(call, *args)}, protocol)
        container(folder / "pytorch_model.bin", payload)
        text = one_line_error(folder, folder / "pytorch_model.bin")
        assert "cannot be read" in text
        if container in (zip_file, legacy_file):
            assert "it was not called" in text
        assert not mark.exists()
    pickle.loads(pickle.dumps(Evil(open, str(mark), "w"))).close()
    assert mark.exists()  # the payload works in an unrestricted unpickler


def test_the_error_names_the_rejected_function(formats):
    folder = formats / "torch_zip"
    zip_file(folder / "pytorch_model.bin", pickle.dumps(Evil(os.system, "true"), 2))
    text = one_line_error(folder, folder / "pytorch_model.bin")
    assert f"a call of {os.system.__module__}.system" in text
    assert "it was not called" in text


class Reference:
    """Storage that `Pickler` writes as a persistent id."""

    def __init__(self, *pid):
        self.pid = pid


class Pickler(pickle._Pickler):
    def persistent_id(self, obj):
        return obj.pid if isinstance(obj, Reference) else None

    def save_global(self, obj, name=None):
        """Writes the name of a torch function, without torch."""
        known = {torch_file._tensor: "ctorch._utils\n_rebuild_tensor_v2\n"}
        if obj in known:
            self.write(known[obj].encode())
        else:
            super().save_global(obj, name)

    dispatch = pickle._Pickler.dispatch | {type(Evil.__reduce__): save_global}


def crafted(path, *tensor):
    """Writes a zip file with one tensor, described by `(storage, offset, shape, strides)`."""
    with zipfile.ZipFile(path, "w") as archive, archive.open("archive/data.pkl", "w") as opened:
        Pickler(opened, 2).dump(OrderedDict(weight=Evil(torch_file._tensor, *tensor)))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", np.arange(6, dtype=np.float32).tobytes())


FLOATS = ("storage", "float32", "0", "cpu", 6)


def test_a_valid_crafted_file(tmp_path):
    crafted(tmp_path / "f", Reference(*FLOATS), 1, (2, 2), (1, 2))
    assert torch_file.read(tmp_path / "f")["weight"].tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize(
    "tensor",
    [
        (Reference(*FLOATS), 0, (7,), (1,)),
        (Reference(*FLOATS), 5, (2,), (1,)),
        (Reference(*FLOATS), 0, (2, 2), (1, 5)),
        (Reference(*FLOATS), -1, (2,), (1,)),
        (Reference(*FLOATS), 0, (2,), (-1,)),
        (Reference(*FLOATS), 0, (-2,), (1,)),
        (Reference(*FLOATS), 0, (2,), (1, 1)),
        (Reference(*FLOATS), 0, (2.5,), (1,)),
        (Reference(*FLOATS), 0, 3, (1,)),
        (Reference(*FLOATS), 0, (1,), (10**30,)),
        ("storage", 0, (2,), (1,)),
        (Reference("storage", "object", "0", "cpu", 6), 0, (2,), (1,)),
        (Reference("storage", "float32", "9", "cpu", 6), 0, (2,), (1,)),
        (Reference("module", "float32", "0", "cpu", 6), 0, (2,), (1,)),
        (Reference("storage"), 0, (2,), (1,)),
    ],
)
def test_descriptions_beyond_their_storage_are_errors(formats, tensor):
    folder = formats / "torch_zip"
    crafted(folder / "pytorch_model.bin", *tensor)
    assert "cannot be read" in one_line_error(folder, folder / "pytorch_model.bin")


def test_compressed_members_and_other_zips_are_errors(formats):
    folder = formats / "torch_zip"
    file = folder / "pytorch_model.bin"
    with zipfile.ZipFile(file) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert "expected uncompressed members" in one_line_error(folder, file)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, b"big" if name.endswith("byteorder") else content)
    assert "expected little-endian" in one_line_error(folder, file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "expected a data.pkl" in one_line_error(folder, file)
    zip_file(file, pickle.dumps({"steps": 3}, 2))
    assert "expected a state dict with tensors" in one_line_error(folder, file)


def test_a_compressed_tensorflow_index_is_an_error(formats):
    folder = formats / "tensorflow"
    file = folder / "bert_model.ckpt.index"
    raw = bytearray(file.read_bytes())
    # The compression type follows the index block, which the footer locates.
    footer = bytes(raw[-48:])
    start, size = tensorflow_file._handle(footer, tensorflow_file._handle(footer, 0)[1])[0]
    raw[start + size] = 1
    file.write_bytes(raw)
    assert "expected an uncompressed index" in one_line_error(folder, file)


def test_two_tensorflow_checkpoints_are_an_error(formats):
    folder = formats / "tensorflow"
    (folder / "model.ckpt-20.index").write_bytes(b"")
    text = one_line_error(folder, folder / "model.ckpt-20.index")
    assert "expected one TensorFlow checkpoint, got bert_model.ckpt.index, model.ckpt-20" in text
