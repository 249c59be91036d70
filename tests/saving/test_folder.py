"""Tests of saved folders: what `overwrite` may delete, and which damage is noticed."""

import json
import os
import stat
from pathlib import Path

import jax
import numpy as np
import pytest

import flowjax
from flowjax import flows
from flowjax.files.replace import entries
from flowjax.saving.folder import FORMAT

FLOW = flows.whitening(2)
X = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
PARAMS = FLOW.init(jax.random.key(0), X)


def save_flow(folder, **options):
    return flowjax.save_flow(folder, FLOW, PARAMS, **options)


@pytest.fixture(scope="module")
def model():
    fitted = flowjax.BertFlow(flow="standardize")
    fitted.fit_vectors(np.random.default_rng(0).normal(size=(600, 256)), steps=0)
    return fitted


@pytest.fixture(params=["save_flow", "BertFlow.save", "SentenceEncoder.save"])
def save(request):
    """Function `save(folder, overwrite=False)` of an entry point, which returns the folder."""
    if request.param == "save_flow":
        return save_flow
    model = request.getfixturevalue("model")
    if request.param == "BertFlow.save":
        return model.save

    def save_encoder(folder, **options):
        model.encoder.save(folder, **options)
        return folder

    return save_encoder


# Files of a user in the folder, by path.
OTHERS = {
    "text": {"thesis.txt": "years of work"},
    "another config": {"config.json": '{"title": "my site"}', "thesis.txt": "x"},
    "format only": {"config.json": '{"format": 3}', "thesis.txt": "x"},
    "damaged config": {"config.json": "{", "thesis.txt": "x"},
    "an encoder": {"config.json": '{"model_type": "bert"}', "model.safetensors": "x"},
    "same names": {"flow.safetensors": "x", "README.md": "x"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_folder_of_the_user_is_kept(save, name, tmp_path):
    for file, text in OTHERS[name].items():
        (tmp_path / file).write_text(text)
    for overwrite, match in ((False, "got an existing folder"), (True, "got another folder")):
        with pytest.raises(ValueError, match=match):
            save(tmp_path, overwrite=overwrite)
    assert {f: (tmp_path / f).read_text() for f in entries(tmp_path)} == OTHERS[name]


@pytest.mark.parametrize("place", ["notes.txt", "encoder/notes.txt", "link"])
def test_a_saved_folder_with_a_file_of_the_user_is_kept(save, place, tmp_path):
    folder = save(tmp_path / "model")
    before = entries(folder)
    (folder / place).parent.mkdir(exist_ok=True)
    if place == "link":
        (folder / place).symlink_to(tmp_path)
    else:
        (folder / place).write_text("mine")
    with pytest.raises(ValueError, match=f"only saved files to overwrite, got {place}; move"):
        save(folder, overwrite=True)
    assert entries(folder) == sorted([*before, place])


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_the_files_follow_the_umask(save, mask, tmp_path):
    before = os.umask(mask)
    try:
        folder = save(tmp_path / "model")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE((folder / name).stat().st_mode) for name in entries(folder)}
    assert modes == {0o666 & ~mask} and stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~mask


def test_a_saved_folder_is_replaced(save, tmp_path):
    folder = save(tmp_path / "model")
    (tmp_path / "model.partial").write_text("the user's")
    before = (folder / "config.json").read_text()
    save(folder, overwrite=True)
    assert (folder / "config.json").read_text() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "model.partial"]


def test_a_file_is_kept(save, tmp_path):
    (tmp_path / "model").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="model: expected"):
            save(tmp_path / "model", overwrite=overwrite)
    assert (tmp_path / "model").read_text() == "years of work"


@pytest.mark.parametrize("name", ["flow.safetensors", "moments.safetensors", "tokenizer.json"])
def test_damage_and_missing_files_are_noticed(model, name, tmp_path):
    file = model.save(tmp_path / "model") / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-40] + bytes(255 - byte for byte in whole[-40:]))
    with pytest.raises(ValueError, match=rf"{name}: expected"):
        flowjax.BertFlow.load(tmp_path / "model")
    file.unlink()
    with pytest.raises(ValueError, match=name):
        flowjax.BertFlow.load(tmp_path / "model")


def test_the_model_card_may_be_edited_but_the_flow_may_not(tmp_path, model):
    folder = model.save(tmp_path / "model")
    (folder / "README.md").write_text("# My model")
    assert flowjax.BertFlow.load(folder).fitted_on == model.fitted_on
    saved = save_flow(tmp_path / "flow")
    file = saved / "flow.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    with pytest.raises(ValueError, match=r"flow\.safetensors: expected the saved content .* dam"):
        flowjax.load_flow(saved)


def test_an_unfinished_run_and_a_missing_folder_get_a_clear_line(tmp_path):
    (tmp_path / "config.toml").write_text("# flowjax fit --config x --out y\n[train]\n")
    for load in (flowjax.load_flow, flowjax.BertFlow.load):
        with pytest.raises(ValueError, match=r"finished run, .*; repeat its command \(flowjax fi"):
            load(tmp_path)
        with pytest.raises(ValueError, match="got no such folder"):
            load(tmp_path / "no")


FOLDERS = Path(__file__).parent / "folders"


@pytest.mark.parametrize("name", sorted(p.stem for p in FOLDERS.glob("*.npz")))
def test_folders_of_earlier_releases_can_be_read(name, tmp_path):
    """The folders were written by `make_folders.py` and are never written again."""
    assert json.loads((FOLDERS / name / "config.json").read_text())["format"] == FORMAT
    flow, params = flowjax.load_flow(FOLDERS / name)
    again, same = flowjax.load_flow(flowjax.save_flow(tmp_path / "new", flow, params))
    assert again.recipe == flow.recipe and not {"beta", "whiten_latents"} & {*again.recipe.options}
    jax.tree.map(np.testing.assert_array_equal, same, params)
    with np.load(FOLDERS / f"{name}.npz") as expected:
        got = {
            "log_prob": flow.log_prob(params, expected["x"]),
            "z": flow.forward(params, expected["x"])[0],
            "sample": flow.sample(params, jax.random.key(1), 3),
        }
        for key, values in got.items():
            np.testing.assert_allclose(values, expected[key], rtol=2e-4, atol=2e-4, err_msg=key)
