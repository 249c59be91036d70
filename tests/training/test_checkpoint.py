"""Checkpoints: round trip, number kept, detection of damage and of another model."""

import logging
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowjax.errors import FlowjaxError
from flowjax.files.lock import locked
from flowjax.training.checkpoint import Checkpoints, saved_steps


def state(value):
    """Returns a small state of random numbers; orbax compresses constant arrays to nothing."""
    return {"step": jnp.int32(value), "w": jax.random.normal(jax.random.key(value), (90, 70))}


def filled(folder, steps, **options):
    with Checkpoints(folder, **options) as checkpoints:
        for step in steps:
            checkpoints.save(step, state(step), wait=True)


def test_round_trip_and_kept_by_number(tmp_path):
    filled(tmp_path, [1, 2, 3, 4], keep=2)
    assert saved_steps(tmp_path) == [3, 4]
    with Checkpoints(tmp_path) as checkpoints:
        step, read = checkpoints.restore(state(0))
    assert step == 4 and read["w"].dtype == np.float32 and read["step"] == 4
    assert np.array_equal(read["w"], state(4)["w"])


def test_empty_folder(tmp_path):
    with Checkpoints(tmp_path / "new") as checkpoints:
        assert checkpoints.restore(state(0)) is None
    assert saved_steps(tmp_path / "none") == []


def test_an_existing_step_is_kept(tmp_path):
    filled(tmp_path, [5])
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(5, state(9), wait=True)
        assert np.array_equal(checkpoints.restore(state(0))[1]["w"], state(5)["w"])


def data_files(folder):
    """Returns the files of a checkpoint by size; the largest holds the arrays."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    return sorted(files, key=lambda p: -p.stat().st_size)


@pytest.mark.parametrize("how", ["truncated", "flipped", "deleted"])
def test_damage_is_reported_and_the_previous_checkpoint_is_used(tmp_path, how):
    filled(tmp_path / "whole", [1, 2])
    names = [p.relative_to(tmp_path / "whole") for p in data_files(tmp_path / "whole" / "2")]
    reported = []
    for i, name in enumerate(names):
        folder = tmp_path / f"{i}"
        shutil.copytree(tmp_path / "whole", folder)
        damage(folder / name, how, i)
        warnings = []
        with Checkpoints(folder, warn=warnings.append) as checkpoints:
            step, read = checkpoints.restore(state(0))
        # orbax does not need all files, but the arrays returned must be correct
        assert (step, len(warnings)) in ((2, 0), (1, 1)), name
        assert np.array_equal(read["w"], state(step)["w"])
        if warnings:
            assert str(folder / "2") in warnings[0]
            reported.append(i)
    assert 0 in reported, "damage to the arrays was not detected"


def damage(file, how, seed):
    content = bytearray(file.read_bytes())
    if how == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif how == "deleted":
        file.unlink()
    else:
        place = random.Random(seed).randrange(len(content))
        for i in range(place, min(place + 16, len(content))):
            content[i] ^= 0xFF
        file.write_bytes(content)


def test_another_form_is_an_error(tmp_path):
    filled(tmp_path, [1])
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(FlowjaxError, match=r"\['w'\]: expected float32 \(3, 3\), got float32"):
            checkpoints.restore({"step": jnp.int32(0), "w": jnp.zeros((3, 3))})
        with pytest.raises(FlowjaxError, match=r"\['w'\]: expected nothing, got float32"):
            checkpoints.restore({"step": jnp.int32(0)})


def test_replicated_arrays(tmp_path):
    from flowjax.parallel import devices

    tree = devices.replicate(state(3), devices.make_mesh(8))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, tree, wait=True)
        _, read = checkpoints.restore(jax.eval_shape(lambda: state(0)))
    assert np.array_equal(read["w"], state(3)["w"])


def test_another_model_of_the_same_shapes_is_an_error(tmp_path):
    with Checkpoints(tmp_path, about="glow\n  permutation(seed=0)") as checkpoints:
        checkpoints.save(1, state(1), wait=True)
    message = "expected 'permutation.seed=1.', got 'permutation.seed=0.'; .* another model"
    with Checkpoints(tmp_path, about="glow\n  permutation(seed=1)") as checkpoints:
        with pytest.raises(FlowjaxError, match=message):
            checkpoints.restore(state(0))
    with Checkpoints(tmp_path, about="glow\n  actnorm\n  permutation(seed=0)") as checkpoints:
        with pytest.raises(FlowjaxError, match="expected 'actnorm', got 'nothing'"):
            checkpoints.restore(state(0))
    with Checkpoints(tmp_path, about="glow\n  permutation(seed=0)") as checkpoints:
        assert checkpoints.restore(state(0))[0] == 1


def test_another_run_is_an_error_that_names_the_difference(tmp_path):
    first = {"batch_size": "64", "data": "9 examples of x (2,)"}
    with Checkpoints(tmp_path, run=first) as checkpoints:
        checkpoints.save(1, state(1), wait=True)
    for name, value in {"batch_size": "32", "data": "8 examples of x (2,)"}.items():
        message = rf"{name}: expected {first[name]}, as in .*{tmp_path.name}.1, got {value};"
        message = message.replace("(2,)", r"\(2,\)")
        with Checkpoints(tmp_path, run=first | {name: value}) as checkpoints:
            with pytest.raises(FlowjaxError, match=message):
                checkpoints.restore(state(0))
    for same in (first, {}):
        with Checkpoints(tmp_path, run=same) as checkpoints:
            assert checkpoints.restore(state(0))[0] == 1


def test_the_settings_of_logging_do_not_change(tmp_path, caplog):
    logger = logging.getLogger("absl")
    before = logger.level, list(logger.filters)
    logger.setLevel(logging.INFO)
    try:
        with Checkpoints(tmp_path) as checkpoints:
            assert logger.level == logging.INFO
            checkpoints.save(1, state(1), wait=True)
            logger.info("a message of another library")
        assert [r.message for r in caplog.records] == ["a message of another library"]
    finally:
        logger.setLevel(before[0])
    assert logger.filters == before[1]


def test_a_folder_in_use_by_another_process_is_refused(tmp_path):
    with locked(tmp_path / ".lock", "x"), pytest.raises(ValueError, match="in use by process"):
        with Checkpoints(tmp_path):
            pass
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": np.ones(2)})
    assert not (tmp_path / ".lock").exists() and saved_steps(tmp_path) == [1]
