"""Compilation for chips that are not present: counts, predictions, and the command."""

import importlib.util
import json
import re
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from flowjax import flows, training
from flowjax.commands import programs
from flowjax.commands.main import main
from flowjax.commands.programs import fit_program
from flowjax.config import FitConfig, TrainConfig
from flowjax.encoder.bert_config import BertConfig
from flowjax.errors import FlowjaxError
from flowjax.fitting.losses import nll_loss, rows_of_batch
from flowjax.fitting.passes import trained_part
from flowjax.parallel import compile_for, devices, largest_batch, open_target
from flowjax.parallel.hlo import count
from flowjax.training.dispatch import max_steps
from flowjax.types import trainable_mask

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="needs libtpu: pip install 'jax[tpu]'"
)


def trained_bytes(flow):
    x = jax.ShapeDtypeStruct((8, flow.dim), jnp.float32)
    params = jax.eval_shape(flow.init, jax.random.key(0), x)
    mask = jax.tree.leaves(trainable_mask(params))
    return sum(4 * a.size for a, trains in zip(jax.tree.leaves(params), mask) if trains)


@pytest.mark.parametrize("mapping", ["shard_map", "pmap"])
def test_a_step_sends_only_trained_parameters(mapping):
    """Frozen parameters are not sent; the rest of the bytes are three metrics and the loss."""
    flow = trained_part(flows.glow(6, levels=1, depth=2, width=4))
    config = FitConfig(train=TrainConfig(mapping=mapping))
    program = fit_program(config, flow, open_target("cpu:4"), 8)
    assert program.collective_bytes - trained_bytes(flow) in range(0, 20, 4)
    assert not program.counts.float64 and not program.counts.callbacks
    assert program.fits is None and program.efficiency() is None
    # The state is donated: all but the metrics reuse its buffers.
    assert program.output - program.aliased < 8 * 8 * 8
    # Adam reads and writes trained parameters and two moments, and reads the batch.
    least = 6 * trained_bytes(flow) + 4 * 8 * 6
    assert least <= program.bytes_at_least <= 1.5 * least and program.activations > 0


def test_counts_multiply_the_bodies_of_scans():
    def scanned(x, w):
        return jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w)[0]

    def unrolled(x, w):
        for part in w:
            x = jnp.tanh(x @ part)
        return x

    x, w = jnp.ones((64, 32)), jnp.ones((12, 32, 32))
    one, other = (compile_for("cpu:1", f, x, w) for f in (scanned, unrolled))
    assert one.flops == other.flops == 12 * (2 * 64 * 32 * 32 + 64 * 32)
    least = 4 * 12 * (32 * 32 + 2 * 64 * 32)  # weights, and activations read and written
    for program in (one, other):
        assert least <= program.counts.bytes_moved <= 4 * least


def test_arguments_are_divided_among_the_chips():
    x, w = jnp.ones((8, 4)), jnp.ones((4, 2))
    program = compile_for("cpu:4", lambda x, w: x @ w, x, w, axes=(0, None))
    assert program.arguments == 4 * (2 * 4 + 4 * 2)
    assert program.flops == 2 * 2 * 4 * 2


def test_counts_of_a_tpu_program():
    """Buffers in on-chip memory, S(1), are not counted; an asynchronous collective counts once."""
    text = """HloModule m
%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %s = f32[] add(%a, %b)
}

ENTRY %main (p: f32[8,4]) -> f32[8,4] {
  %p = f32[8,4]{1,0:T(8,128)} parameter(0)
  %t = f32[8,4]{1,0:T(8,128)S(1)} tanh(%p)
  %r = f32[8,4]{1,0:T(8,128)S(1)} all-reduce-start(%t), to_apply=%add
  %d = f32[8,4]{1,0:T(8,128)S(1)} all-reduce-done(%r)
  ROOT %g = f32[8,4]{1,0:T(8,128)} gather(%d, %d), metadata={op_name="callback"}
}
"""
    found = count(text)
    assert found.bytes_moved == 2 * 128  # p read, g written
    assert found.collectives == {"all-reduce": (1, 128)}
    assert found.operations["gather"] == 1 and not found.callbacks


def test_counts_of_slices_branches_and_steps():
    """Nested fusions read slices only; of a conditional, the branch that moves more counts."""
    text = """HloModule m
%inner (x: f32[8,4], i: s32[]) -> f32[1,4] {
  %x = f32[8,4] parameter(0)
  %i = s32[] parameter(1)
  %b = f32[8,4] bitcast(%x)
  ROOT %d = f32[1,4] dynamic-slice(%b, %i, %i), dynamic_slice_sizes={1,4}
}

%outer (x: f32[8,4], i: s32[]) -> f32[1,4] {
  %x = f32[8,4] parameter(0)
  %i = s32[]{:S(6)} parameter(1)
  ROOT %f = f32[1,4] fusion(%x, %i), kind=kLoop, calls=%inner
}

%keep (p: f32[8,4]) -> f32[8,4] {
  ROOT %p = f32[8,4] parameter(0)
}

%update (p: f32[8,4]) -> f32[8,4] {
  %p = f32[8,4] parameter(0)
  ROOT %n = f32[8,4] negate(%p)
}

%body (p: f32[8,4]) -> f32[8,4] {
  %p = f32[8,4] parameter(0)
  %i = s32[]{:S(6)} constant(0)
  %f = f32[1,4]{1,0:S(1)} fusion(%p, %i), kind=kLoop, calls=%outer
  ROOT %c = f32[8,4] conditional(%i, %p, %p), branch_computations={%keep, %update}
}

%more (p: f32[8,4]) -> pred[] {
  %p = f32[8,4] parameter(0)
  ROOT %t = pred[]{:S(6)} constant(true)
}

ENTRY %main (p: f32[8,4]) -> f32[8,4] {
  %p = f32[8,4] parameter(0)
  %q = f32[8,4] copy(%p)
  ROOT %w = f32[8,4] while(%q), condition=%more, body=%body
}
"""
    inside, outside = 16 + 2 * 128, 2 * 128
    assert count(text).bytes_moved == inside + outside
    assert count(text, steps=8).bytes_moved == inside + outside / 8


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("v9:2x2", "expected v5e:AxB"),
        ("v5e", "expected v5e:AxB"),
        ("cpu:0", "expected v5e:AxB"),
        ("cpu:2x2", "expected 1 dimension for cpu"),
        ("v5p:4x4", "expected 3 dimensions for v5p"),
        ("v5e:1x1", "expected even numbers A and B"),
        ("cpu:4096", "JAX_NUM_CPU_DEVICES=4096"),
    ],
)
def test_unknown_targets(name, words):
    with pytest.raises(FlowjaxError, match=words):
        open_target(name)


def test_missing_libtpu(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FlowjaxError, match=r"pip install 'bert-flowjax\[tpu\]'"):
        open_target("v5e:2x2")


def test_largest_batch_is_extrapolated():
    def build(batch):
        chip = SimpleNamespace(memory=10_000)
        needed = 1000 + 7 * batch
        text = "" if needed > chip.memory else "program"
        return SimpleNamespace(target=SimpleNamespace(chip=chip), needed=needed, text=text)

    # (10,000 - 1,000) / 7 is 1285.7; the last two are refused by the compiler at first
    assert [largest_batch(build, batch) for batch in (8, 300, 4096)] == [1280] * 3


def test_batches_can_be_assembled_before_the_loop():
    flow = flows.realnvp(2, depth=2, width=8)
    x = jax.random.normal(jax.random.key(0), (64, 2))
    params = flow.init(jax.random.key(1), x)
    optimizer = training.freeze(training.default_optimizer(), params)
    loss, results = nll_loss(flow), []
    batches = {"rows": jnp.arange(64).reshape(4, 16)}
    for assemble in (None, rows_of_batch):
        step = training.make_step(loss, optimizer, seed=0, assemble=assemble)
        call = devices.data_parallel(step, devices.make_mesh(2))
        state = training.init_state(params, optimizer)
        results.append(call(state, ({"x": x}, 4), batches))
    for a, b in zip(*map(jax.tree.leaves, results)):
        assert jnp.array_equal(a, b)
    source = SimpleNamespace(size=64, resident={"x": jnp.ones((64, 1024))}, read=lambda rows: {})
    assert max_steps(source, 4096) == 256 and max_steps(source, 4096, assembled=True) == 8


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("glow", {"levels": 2, "depth": 2, "width": 4}),
        ("glow", {"levels": 1, "depth": 9, "width": 4}),  # scanned
        ("realnvp", {"depth": 2, "width": 4, "mask": "checkerboard", "permutation": "lu"}),
        ("neural_spline", {"depth": 2, "width": 4}),
        ("maf", {"depth": 2, "width": 8}),
        ("iaf", {"depth": 2, "width": 8}),
    ],
)
def test_steps_lowered_for_a_tpu_do_not_gather(name, options):
    flow = trained_part(flows.make(name, 6, **options))
    params = jax.eval_shape(flow.init, jax.random.key(0), jnp.ones((8, 6)))
    optimizer = training.freeze(training.default_optimizer(), params)
    state = jax.eval_shape(lambda p: training.init_state(p, optimizer), params)
    step = training.make_step(nll_loss(flow), optimizer, seed=0, assemble=rows_of_batch)
    call = devices.data_parallel(step, devices.make_mesh(1))
    x, rows = jnp.ones((32, 6)), jnp.ones((2, 8), jnp.int32)
    lowered = call.trace(state, ({"x": x}, jnp.int32(2)), {"rows": rows}).lower
    text = lowered(lowering_platforms=("tpu",)).as_text()
    # The one gather selects the rows of all batches before the loop.
    assert text.count('"stablehlo.gather"(') == 1 and "stablehlo.scatter" not in text
    assert text.index('"stablehlo.gather"(') < text.index("stablehlo.while")


def test_command(tmp_path, capsys):
    file, config = tmp_path / "out.json", tmp_path / "c.toml"
    config.write_text('[flow]\nname = "realnvp"\ndepth = 2\nwidth = 8\n[train]\nbatch_size = 64\n')
    argv = ["compile", "--config", str(config), "--target", "cpu:4", "--dim", "4"]
    assert main([*argv, "--what", "fit,log_prob,inverse,sample", "--json", str(file)]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    found = json.loads(file.read_text())
    assert [p["program"] for p in found["programs"]] == ["fit", "log_prob", "inverse", "sample"]
    fit = found["programs"][0]
    assert fit["batch_per_chip"] == 16 and fit["collectives"]["all-reduce"][1] > 0
    assert fit["bytes_moved"] > fit["bytes_at_least"] > 0
    assert main([*argv, "--what", "fit", "--train.batch-size", "32", "--flow.width", "4"]) == 0
    assert "fit: 8 examples per chip" in capsys.readouterr().out
    assert found["chips"] == 4 and found["chip"] is None
    for wrong, words in (
        (["--what", "pretrain"], "--what"),
        (["--target", "v7"], "target"),
        (["--model.width", "8"], "--model.width: expected a known flag"),
        (["--train.batch-size", "0"], "train.batch_size"),
    ):
        assert main([*argv, *wrong]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.end_to_end
def test_command_compiles_an_encoder_pretraining_and_finetuning(tmp_path, capsys):
    config = tmp_path / "pretrain.toml"
    config.write_text("[model]\nlayers = 1\nwidth = 16\nheads = 2\nvocab_size = 40\n"
                      "[data]\nlength = 16\n[train]\nbatch_size = 8\n")  # fmt: skip
    argv = ["compile", "--target", "cpu:2", "--no-largest"]
    assert main([*argv, "--config", str(config), "--model.width", "8"]) == 0
    assert "rows of 16 tokens" in capsys.readouterr().out
    assert main([*argv, "--what", "encode", "--batch", "2"]) == 0
    assert "collectives      none" in capsys.readouterr().out
    config.write_text('[objective]\nname = "mnr"\n[train]\nbatch_size = 8\n')
    sizes = BertConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                       intermediate_size=16)  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "sizes_of", lambda name: sizes)
        assert main([*argv, "--config", str(config), "--train.accumulate", "2"]) == 0
    assert "finetune: 4 examples per chip" in capsys.readouterr().out


RECIPES = [
    ("glow", {"levels": 2, "depth": 2, "width": 16}),
    ("glow", {"levels": 1, "depth": 9, "width": 16}),  # scanned
    ("glow", {"levels": 1, "depth": 2, "width": 16, "permutation": "lu", "coupling": "affine"}),
    ("glow_as_released", {"levels": 2, "depth": 2, "width": 16}),
    ("realnvp", {"depth": 2, "width": 16, "mask": "checkerboard"}),
    ("neural_spline", {"depth": 2, "width": 16}),
    ("maf", {"depth": 2, "width": 32}),
    ("iaf", {"depth": 2, "width": 32}),
    ("elementwise_spline", {}),
    ("whitening_glow", {"levels": 2, "depth": 2, "width": 16}),
]


def check_step(program, flow):
    """No gathers, one collective of the trained parameters, no float64, donated state."""
    assert not {"gather", "scatter", "sort"} & {*program.counts.operations}
    ((number, size),) = program.counts.collectives.values()
    assert number == 1 and size - trained_bytes(flow) in range(0, 20, 4)
    assert not program.counts.float64 and not program.counts.callbacks
    # Only the metrics have separate buffers, 512 bytes each.
    assert program.output - program.aliased <= 16 * 512 and program.fits


@pytest.mark.slow
@needs_libtpu
@pytest.mark.parametrize(("name", "options"), RECIPES)
def test_steps_on_a_tpu(name, options):
    flow = trained_part(flows.make(name, 32, **options))
    check_step(fit_program(FitConfig(), flow, open_target("v5e:2x2"), 32), flow)


@pytest.mark.slow
@needs_libtpu
def test_a_step_is_the_same_on_many_chips_and_mapped_by_pmap():
    flow = trained_part(flows.realnvp(32, depth=2, width=16))
    cells = [("v5e:2x2", "shard_map"), ("v5e:2x2", "pmap"), ("v5e:16x16", "shard_map")]
    found = []
    for target, mapping in cells:
        config = FitConfig(train=TrainConfig(mapping=mapping))
        found.append(fit_program(config, flow, open_target(target), 32))
        check_step(found[-1], flow)
    assert max(p.scratch for p in found) <= 1.1 * found[0].scratch
    assert 0 < found[0].efficiency() <= 1


@pytest.mark.slow
@needs_libtpu
def test_products_have_bfloat16_factors_if_asked():
    flow = trained_part(flows.realnvp(32, depth=2, width=16, permutation="reverse"))
    for precision, kind in (("bfloat16", "bf16"), ("float32", "f32")):
        config = FitConfig(train=TrainConfig(precision=precision))
        program = fit_program(config, flow, open_target("v5e:2x2"), 32)
        types = dict(re.findall(r"%([\w.\-]+) = (\w+)\[", program.text))
        factors = re.findall(r" convolution\(%([\w.\-]+), %([\w.\-]+)\)", program.text)
        assert factors and {types[name] for pair in factors for name in pair} == {kind}
