"""Programs of a run, for compilation without its data and without its devices."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.config import FinetuneConfig, FitConfig, PretrainConfig
from flowjax.errors import FlowjaxError
from flowjax.parallel import CompiledProgram, Target, compile_for, devices
from flowjax.training.step import PRECISIONS, Precision, TrainState, init_state, make_step
from flowjax.types import trainable_mask

if TYPE_CHECKING:
    from flowjax.encoder.bert_config import BertConfig
    from flowjax.types import Flow

FIT = ("fit", "log_prob", "inverse", "sample", "encode")
PRETRAIN, FINETUNE = ("pretrain",), ("finetune",)
STEPS = 8  # steps per call of a training program
SENTENCES = 4  # assumed sentences of a packed row in the fine-tuning; a run packs its own data
# Sizes of encoders that need not be downloaded to be compiled.
_KNOWN: dict[str, dict[str, Any]] = {
    "bert-base-uncased": {},
    "bert-large-uncased": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
    },
}


class Program(NamedTuple):
    """A program of a run.

    Attributes:
        name: name in `--what`.
        batch: number of examples per chip of the config.
        unit: unit of an example: examples, or rows of `length` tokens.
        build: function from the number of examples per chip to the compiled program.
    """

    name: str
    batch: int
    unit: str
    build: Callable[[int], CompiledProgram]


def programs(
    config: FitConfig | PretrainConfig | FinetuneConfig,
    target: Target,
    names: tuple[str, ...],
    *,
    dim: int | None = None,
    batch: int | None = None,
) -> list[Program]:
    """Returns the programs of a config for a target.

    Args:
        config: config of `fit`, `fit-array`, `pretrain` or `finetune`.
        target: the chips.
        names: names among `FIT`, `PRETRAIN` or `FINETUNE`; empty means all.
        dim: dimension of the vectors; None means that of the encoder.
        batch: number of examples per chip; None means that of the config.

    Raises:
        FlowjaxError: A name is unknown, or the encoder cannot be found.
    """
    if isinstance(config, FinetuneConfig):
        config = config.resolved()
    kinds = {PretrainConfig: PRETRAIN, FinetuneConfig: FINETUNE}
    known = kinds.get(type(config), FIT)
    if unknown := [name for name in names if name not in known]:
        raise FlowjaxError(
            f"--what: expected names among {','.join(known)} for this config, got {unknown[0]!r}"
        )
    if isinstance(config, PretrainConfig):
        size = batch or max(1, config.train.batch_size // target.size)
        unit = f"rows of {config.data.length} tokens"
        return [Program("pretrain", size, unit, partial(pretrain_program, config, target))]
    if isinstance(config, FinetuneConfig):
        size = batch or max(1, (config.train.batch_size or 1) // target.size)
        sizes = sizes_of(config.encoder.name)
        tuned = partial(finetune_program, config, sizes, target)
        return [Program("finetune", size, "examples", tuned)]
    chosen = [name for name in known if name in (names or known)]
    per_chip = batch or max(1, config.train.batch_size // target.size)
    per_chip = -(-per_chip // config.train.accumulate) * config.train.accumulate
    found, flow = [], None
    for name in chosen:
        if name == "encode":
            sizes, length = sizes_of(config.encoder.name), config.encoder.max_length or 64
            rows = batch or max(1, config.encoder.batch_size // target.size)
            call = partial(encode_program, sizes, config.encoder, length, target)
            found.append(Program(name, rows, f"rows of {length} tokens", call))
            continue
        flow = flow or flow_of(config, dim or sizes_of(config.encoder.name).hidden_size)
        build: Any = partial(fit_program, config, flow) if name == "fit" else None
        build = build or partial(flow_program, name, flow)
        found.append(Program(name, per_chip, "examples", partial(build, target)))
    return found


def sizes_of(name: str) -> BertConfig:
    """Returns the sizes of an encoder, without its weights where possible."""
    from flowjax.encoder.bert_config import BertConfig
    from flowjax.encoder.resolve import locate

    if name in _KNOWN and not Path(name).is_dir():
        return BertConfig(**_KNOWN[name])
    return BertConfig.from_dict(json.loads((locate(name).folder / "config.json").read_text()))


def flow_of(config: FitConfig, dim: int) -> Flow:
    """Returns the flow of a config; `auto` trains `glow`."""
    from flowjax import flows

    name = "glow" if config.flow.name == "auto" else config.flow.name
    return flows.make(name, dim, **config.flow.options())


def _step_program(
    target: Target,
    loss: Any,
    optimizer: Any,
    params: Any,
    batches: Any,
    mapping: Any,
    **options: Any,
) -> CompiledProgram:
    """Compiles `STEPS` training steps per call; `batches` has the shapes of all steps."""
    state = jax.eval_shape(lambda p: init_state(p, optimizer), params)
    step = make_step(loss, optimizer, seed=0, **options)
    call = devices.data_parallel(step, target.mesh, mapping)
    resident = (None, jax.ShapeDtypeStruct((), jnp.int32))
    axes = (None, None, 1)
    compiled = compile_for(target, call, state, resident, batches, axes=axes, steps=STEPS)
    kept = _activations(target, loss, state, batches, **options)
    least = _least_bytes(target, state, batches)
    return compiled._replace(bytes_at_least=least, activations=kept)


def _least_bytes(target: Target, state: TrainState, batches: Any) -> float:
    """Returns the bytes that a training step of one chip has to move.

    The batch is read, trained parameters and their moments are read and written, and frozen
    parameters are read.
    """
    leaves, trains = jax.tree.leaves(state.params), jax.tree.leaves(trainable_mask(state.params))
    trained = _nbytes([x for x, trained in zip(leaves, trains, strict=True) if trained])
    frozen = _nbytes(leaves) - trained
    batch = _nbytes(batches) / STEPS / target.size
    return float(batch + frozen + 2 * (trained + _nbytes(state.opt_state)))


def _activations(
    target: Target,
    loss: Any,
    state: TrainState,
    batches: Any,
    *,
    accumulate: int = 1,
    precision: Precision | None = None,
) -> float:
    """Returns the bytes of the values that one chip keeps for the backward pass of a step.

    Each value is written and read once.
    """

    def kept(params: Any, key: Any, batches: Any) -> tuple[list[Any], None]:
        part = jax.tree.map(lambda x: x[0, : x.shape[1] // accumulate], batches)
        with jax.default_matmul_precision(PRECISIONS[precision]) if precision else nullcontext():
            found = jax.vjp(lambda p: loss(p, None, part, key), params, has_aux=True)[1]
        known = {id(x) for x in jax.tree.leaves((params, part))}
        return [x for x in jax.tree.leaves(found) if id(x) not in known], None

    key = jax.eval_shape(lambda: jax.random.key(0))
    mapped = devices.data_parallel(kept, target.mesh)
    stored, _ = jax.eval_shape(mapped, state.params, key, batches)
    return 2.0 * accumulate * _nbytes(stored)


def _nbytes(tree: Any) -> int:
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def fit_program(config: FitConfig, flow: Flow, target: Target, batch: int) -> CompiledProgram:
    """Compiles the training steps of a flow, with streamed examples."""
    from flowjax import training
    from flowjax.commands.fit import make_optimizer
    from flowjax.fitting.losses import nll_loss
    from flowjax.fitting.passes import trained_part

    train, flow = config.train, trained_part(flow)
    params = jax.eval_shape(flow.init, jax.random.key(0), _floats(256, flow.dim))
    optimizer = make_optimizer(train, train.steps or 1000, flow.dim)
    optimizer = training.freeze(optimizer, params)
    rows = (STEPS, batch * target.size)
    batches = {"rows": jax.ShapeDtypeStruct(rows, jnp.int32), "x": _floats(*rows, flow.dim)}
    options = {"accumulate": train.accumulate, "precision": train.precision}
    loss = nll_loss(flow)
    return _step_program(target, loss, optimizer, params, batches, train.mapping, **options)


def flow_program(name: str, flow: Flow, target: Target, batch: int) -> CompiledProgram:
    """Compiles `log_prob` or `inverse` on all chips, or `sample` on one chip."""
    params = jax.eval_shape(flow.init, jax.random.key(0), _floats(256, flow.dim))
    if name == "sample":
        one = target._replace(mesh=devices.mesh_of(list(target.mesh.devices.flat)[:1]))
        key = jax.eval_shape(lambda: jax.random.key(0))
        return compile_for(one, lambda p, k: flow.sample(p, k, batch), params, key)
    dim = flow.dim if name == "log_prob" else flow.latent_dim or flow.dim
    function = flow.log_prob if name == "log_prob" else flow.inverse
    call = partial(_without_context, function)
    return compile_for(target, call, params, _floats(batch * target.size, dim), axes=(None, 0))


def _without_context(function: Any, params: Any, x: Any) -> Any:
    return function(params, x)


def encode_program(
    sizes: BertConfig, encoder: Any, length: int, target: Target, batch: int
) -> CompiledProgram:
    """Compiles encoder and pooling for packed rows of `length` tokens."""
    from flowjax.encoder.bert import Bert
    from flowjax.encoder.embed_rows import embed_rows

    pooling = "first_last" if encoder.pooling == "auto" else encoder.pooling
    model = Bert(sizes, jnp.dtype(encoder.dtype), with_pooler=pooling == "pooler")
    params: Any = jax.eval_shape(model.init, jax.random.key(0), _integers(1, 8))
    call = partial(embed_rows, model, pooling, encoder.special_tokens)
    rows = [_integers(batch * target.size, length)] * 3
    return compile_for(target, call, params["params"], *rows, axes=(None, 0, 0, 0))


def pretrain_program(config: PretrainConfig, target: Target, batch: int) -> CompiledProgram:
    """Compiles the training steps of a masked language model."""
    from flowjax.pretraining.masked_lm import MaskedLM, Masking
    from flowjax.pretraining.objective import make_loss, make_optimizer
    from flowjax.pretraining.preparation import bert_config

    train = config.train
    sizes = bert_config(config, config.model.vocab_size)
    model = MaskedLM(sizes, dtype=jnp.dtype(train.dtype))
    params = jax.eval_shape(model.init, jax.random.key(0), _integers(1, 8), _integers(1, 2))
    loss = make_loss(model, Masking(train.mask_rate, 4, sizes.vocab_size))
    batch = -(-batch // train.accumulate) * train.accumulate
    rows = (STEPS, batch * target.size)
    batches = {"rows": _integers(*rows), "ids": _integers(*rows, config.data.length)}
    optimizer, options = make_optimizer(config), {"accumulate": train.accumulate}
    return _step_program(target, loss, optimizer, params, batches, "shard_map", **options)


def finetune_program(
    config: FinetuneConfig, sizes: BertConfig, target: Target, batch: int
) -> CompiledProgram:
    """Compiles the steps of a fine-tuning; a packed row has `SENTENCES` sentences.

    Args:
        config: config of the run, resolved.
        sizes: sizes of the encoder.
        target: the chips.
        batch: number of examples per chip.
    """
    from flowjax.encoder.bert import Bert
    from flowjax.finetuning.finetune import make_objective
    from flowjax.finetuning.objective import make_optimizer, training_loss
    from flowjax.finetuning.packing import row_length

    train, views = config.train, 3 if config.objective.name == "mnr" else 2
    group = -(-batch // train.accumulate)
    batch, length = group * train.accumulate, row_length(config.encoder.max_length)
    pooled = config.encoder.pooling == "pooler"
    model = Bert(sizes, with_pooler=pooled)
    params: Any = jax.eval_shape(model.init, jax.random.key(0), _integers(1, 8))
    inputs: Any = SimpleNamespace(
        parts=SimpleNamespace(config=sizes, params=params["params"]),
        examples=SimpleNamespace(sentences=np.zeros((1, views), np.int32)),
    )
    objective, start = make_objective(config, inputs, group)
    packed = train.accumulate * -(-views * group // SENTENCES) * target.size
    shapes = {name: _integers(STEPS, packed, length) for name in ("ids", "mask", "positions")}
    shapes["places"] = _integers(STEPS, views * batch * target.size)
    shapes["rows"] = labels = _integers(STEPS, batch * target.size)
    if config.objective.name == "nli":
        shapes["label"] = labels
    elif config.objective.name == "mnr":
        shapes["has_negative"] = jax.ShapeDtypeStruct(labels.shape, jnp.bool_)
    optimizer = make_optimizer(
        train.learning_rate or 0.0,
        steps=1000,
        warmup_steps=0,
        weight_decay=train.weight_decay or 0.0,
        clip_norm=train.clip_norm,
    )
    loss = training_loss(objective, dropout=config.encoder.dropout > 0)
    params = {"encoder": start, "head": objective.head}
    return _step_program(target, loss, optimizer, params, shapes, "shard_map")


def _floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _integers(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.int32)
