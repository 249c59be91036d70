"""Tests of damaged and malicious checkpoints: a single error, and no code of the file runs."""

import json
import os
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from flowjax.encoder.weights import load_pretrained, tensorflow_file, torch_file, torch_pickle
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
        assert "expected" in one_line_error(folder, index)
    for outside in ("../" + shard, "/etc/passwd", "..", "", "a/b", "\0", 7):
        index.write_text(json.dumps({"weight_map": {tensor: outside}}))
        assert "weight_map: expected" in one_line_error(folder, index)


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
            assert "expected a pickle of tensors only" in text
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
        known = {torch_pickle._tensor: "ctorch._utils\n_rebuild_tensor_v2\n"}
        if obj in known:
            self.write(known[obj].encode())
        else:
            super().save_global(obj, name)

    dispatch = pickle._Pickler.dispatch | {type(Evil.__reduce__): save_global}


def crafted(path, *tensor):
    """Writes a zip file with one tensor, described by `(storage, offset, shape, strides)`."""
    with zipfile.ZipFile(path, "w") as archive, archive.open("archive/data.pkl", "w") as opened:
        Pickler(opened, 2).dump(OrderedDict(weight=Evil(torch_pickle._tensor, *tensor)))
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
        (Reference(*FLOATS), 0, (10**9, 4), (0, 1)),
        (Reference(*FLOATS), 0, (1,) * 100, (1,) * 100),
        (Reference("storage", "float32", ("0",), "cpu", 6), 0, (2,), (1,)),
    ],
)
def test_descriptions_beyond_their_storage_are_errors(formats, tensor):
    folder = formats / "torch_zip"
    crafted(folder / "pytorch_model.bin", *tensor)
    assert "cannot be read" in one_line_error(folder, folder / "pytorch_model.bin")


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


# Opcodes of a tuple that contains a tuple twice, which contains a tuple twice ...: 2**60 entries.
TUPLES = text("x") + b"q\0"
TUPLES += b"".join(b"(h%ch%ctq%c" % (i, i, i + 1) for i in range(60))
LAST = b"h%c" % 60
BOMBS = {
    "persistent id": b"(" + text("a") + text("b") + LAST + LAST + b"K\0tQ.",
    "key": b"}" + LAST + b"K\1s.",
    "keys": b"}(" + LAST + b"K\1u.",
    "pairs": b"ccollections\nOrderedDict\n(](" + LAST + b"K\1tatR.",
    "set": b"\x8f(" + LAST + b"\x90.",
    "frozen set": b"(" + LAST + b"\x91.",
    "text": LAST + b".",
    "state": b"ccollections\nOrderedDict\n)R}" + text("items") + LAST + b"sb.",
    "state of a function": b"ctorch._utils\n_rebuild_tensor\n}" + text("a") + b"K\1sb.",
    "size": b"ctorch\nSize\n((" + 100 * LAST + b"ttR.",
    "bytes": b"\x96" + struct.pack("<Q", 1 << 40) + b".",
    "large text": b"\x8d" + struct.pack("<Q", 1 << 40) + b".",
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("container", [zip_file, legacy_file])
def test_a_small_file_cannot_use_much_time_or_memory(formats, container, name):
    """Values whose hash, text or claimed size is huge: an error before any is computed."""
    folder = formats / "torch_zip"
    container(folder / "pytorch_model.bin", b"\x80\x02" + TUPLES + BOMBS[name])
    assert "cannot be read" in one_line_error(folder, folder / "pytorch_model.bin")


def test_a_compressed_pickle_is_refused_before_it_expands(formats):
    file = formats / "torch_zip" / "pytorch_model.bin"
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("archive/data.pkl", "w", force_zip64=True) as opened,
    ):
        for _ in range(64):
            opened.write(bytes(1 << 20))
    message = one_line_error(file.parent, file)
    assert "expected uncompressed members, got a compressed data.pkl" in message


def test_metadata_of_a_state_dict_are_ignored(tmp_path):
    """`torch.save(model.state_dict())` stores them as the state of the `OrderedDict`."""
    crafted(tmp_path / "f", Reference(*FLOATS), 0, (2,), (1,))
    with zipfile.ZipFile(tmp_path / "f") as archive:
        payload = archive.read("archive/data.pkl")
    state = b"}" + text("_metadata") + b"}sb."
    with zipfile.ZipFile(tmp_path / "g", "w") as archive:
        archive.writestr("archive/data.pkl", payload.removesuffix(b".") + state)
        archive.writestr("archive/data/0", np.arange(6, dtype=np.float32).tobytes())
    assert torch_file.read(tmp_path / "g")["weight"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_hidden_layers": 10**9}, "expected tensors of 1000000000 layers"),
        ({"num_hidden_layers": 10**30}, "num_hidden_layers: expected an integer from 1 to"),
        ({"vocab_size": 10**9}, "expected shape"),
        ({"hidden_size": 2 * 10**9}, "expected shape"),
        ({"layer_norm_eps": 0}, "layer_norm_eps: expected a number above 0"),
        ({"layer_norm_eps": -1e-12}, "layer_norm_eps: expected a number above 0"),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps: expected a number above 0"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps: expected a number above 0"),
        ({"hidden_dropout_prob": 2}, "hidden_dropout_prob: expected a number from 0"),
        ({"pad_token_id": 97}, "pad_token_id: expected an id below vocab_size 23"),
        ({"pad_token_id": -1}, "pad_token_id: expected an integer from 0"),
        ({"model_type": ["bert"]}, "model_type: expected text"),
        ({"model_type": None, "architectures": {"a": 1}}, "architectures: expected a list"),
        ({"model_type": None, "architectures": [5]}, "architectures: expected text"),
    ],
)
def test_claims_of_the_config_are_checked(formats, change, message):
    folder = formats / "safetensors"
    values = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(FlowjaxError) as caught:
        load_pretrained(folder)
    assert message in str(caught.value) and str(folder) in str(caught.value)


def test_tensors_that_share_their_bytes_are_limited(formats):
    """A hundred names for one storage would become a hundred arrays."""
    file = formats / "torch_zip" / "pytorch_model.bin"
    tensor = Evil(torch_pickle._tensor, Reference(*FLOATS), 0, (100_000,), (1,))
    with zipfile.ZipFile(file, "w") as archive, archive.open("archive/data.pkl", "w") as opened:
        Pickler(opened, 2).dump(OrderedDict((f"w{i}", tensor) for i in range(100)))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("archive/data/0", bytes(400_000))
    assert "expected tensors of at most" in one_line_error(file.parent, file)


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
