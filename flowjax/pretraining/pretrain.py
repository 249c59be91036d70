"""Pretrains a small BERT from text: vocabulary, packed rows, starting point, masked LM.

The loop, the data-parallel step and the checkpoints are those of the flow (`training.py`).
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from flowjax.config import PretrainConfig
from flowjax.encoder.bert import BertConfig
from flowjax.encoder.weights import save_pretrained
from flowjax.pretraining.masked_lm import MaskedLM, Masking, masked_lm_loss
from flowjax.training.optimizers import clip_by_global_norm, scale_by_rate
from flowjax.training.schedules import make_schedule

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Array = jax.Array


class PackedRows:
    """A packed token file as a training source: memory-mapped, read a batch at a time."""

    resident = None

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        self.size = len(rows)

    def read(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """`{"ids": (len(rows), length)}` int32."""
        return {"ids": np.asarray(self._rows[rows], np.int32)}


def prepare_tokenizer(config: PretrainConfig, paths: list[Path], folder: Path) -> Tokenizer:
    """Loads the tokenizer of `data.tokenizer`, or trains one of `model.vocab_size` on the text."""
    from flowjax.files.text import read_lines
    from flowjax.encoder.tokenizer import load_tokenizer, train_wordpiece

    made = folder / "tokenizer"
    if config.data.tokenizer:
        return load_tokenizer(config.data.tokenizer)
    if not (made / "tokenizer.json").exists():
        share = max(1, config.data.tokenizer_lines // len(paths))
        lines = chain.from_iterable(islice(read_lines(path), share) for path in paths)
        tokenizer = train_wordpiece((line for line in lines if line), config.model.vocab_size)
        made.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(made / "tokenizer.json.partial"))
        os.replace(made / "tokenizer.json.partial", made / "tokenizer.json")
    return load_tokenizer(made)


def make_loss(
    model: MaskedLM, masking: Masking
) -> Callable[[Any, Any, Any, Array], tuple[Array, dict[str, Array]]]:
    """The loop's loss; the masks are a function of (seed, step, row) on any number of devices."""

    def loss(params: Any, _: Any, batch: Any, key: Array) -> tuple[Array, dict[str, Array]]:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["rows"])
        return masked_lm_loss(model, params, batch["ids"], keys, masking, train=True)

    return loss


def make_optimizer(config: PretrainConfig) -> optax.GradientTransformation:
    """Returns AdamW with gradient clipping; biases and normalisation scales are not decayed."""
    train = config.train
    schedule = make_schedule(
        "trapezoid",
        train.learning_rate,
        steps=train.steps,
        warmup_steps=train.warmup_steps,
        decay_steps=train.decay_steps,
    )

    def matrices(params: Any) -> Any:
        return jax.tree.map(lambda x: x.ndim > 1, params)

    return optax.chain(
        clip_by_global_norm(train.clip_norm),
        optax.scale_by_adam(b2=0.98, eps=1e-6),
        optax.add_decayed_weights(train.weight_decay, matrices),
        scale_by_rate(schedule),
    )


def initial_params(
    model: MaskedLM, seed: int, rows: np.ndarray, config: PretrainConfig, folder: Path
) -> Any:
    """Random parameters, or with `model.ppmi_rows` those of `starting_point.start_from`."""
    from flowjax.pretraining.cooccurrence import cooccurrence, ppmi_embeddings
    from flowjax.pretraining.starting_point import start_from

    ids = jnp.zeros((1, 8), jnp.int32)
    params = model.init(jax.random.key(seed), ids, ids[:, :2])
    if not config.model.ppmi_rows:
        return params
    saved = folder / "ppmi.npy"
    if not saved.exists():
        counts = cooccurrence(rows[: config.model.ppmi_rows], model.config.vocab_size)
        table = ppmi_embeddings(
            counts, model.config.hidden_size, std=config.model.ppmi_std, seed=seed
        )
        np.save(folder / "ppmi.partial.npy", table)
        os.replace(folder / "ppmi.partial.npy", saved)
    bert = start_from(params["params"]["bert"], model.config, np.load(saved), seed=seed)
    return {"params": {**params["params"], "bert": bert}}


def bert_config(config: PretrainConfig, vocab_size: int) -> BertConfig:
    """The encoder's sizes as a `BertConfig`."""
    m = config.model
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=m.width,
        num_hidden_layers=m.layers,
        num_attention_heads=m.heads,
        intermediate_size=4 * m.width,
        max_position_embeddings=config.data.length,
        hidden_dropout_prob=m.dropout,
        attention_probs_dropout_prob=m.dropout,
        # BERT's 0.02 suits a width of 768; narrow layers would hardly pass anything on.
        initializer_range=m.width**-0.5,
    )


def evaluate_masked_lm(
    model: MaskedLM, params: Any, rows: np.ndarray, masking: Masking, *, limit: int = 512
) -> dict[str, float]:
    """Loss in nats and accuracy on the masked tokens of held-out rows, masks from a fixed seed."""
    from flowjax.training import evaluate

    def loss(params: Any, _: Any, batch: Any, key: Array) -> tuple[Array, dict[str, Array]]:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), batch["rows"])
        return masked_lm_loss(model, params, batch["ids"], keys, masking)

    return evaluate(loss, params, PackedRows(rows[:limit]), batch_size=64)


def pretrain(
    config: PretrainConfig,
    text: Iterable[str | Path],
    heldout: Iterable[str | Path],
    out: str | Path,
    *,
    log: Callable[[dict[str, Any]], None] = lambda row: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Trains a masked language model and writes its encoder as a Hugging Face folder.

    Args:
        config: sizes, data and training.
        text: training files, a paragraph a line.
        heldout: files for the held-out loss; none may be given.
        out: the run folder; a run that was stopped there goes on.
        log: called with a row of metrics after each dispatch.
        stop: asked after each dispatch; True saves and raises `training.Stopped`.

    Returns:
        A report: steps, tokens seen, seconds, held-out loss and accuracy; empty on all but the
        first of several processes, which alone writes what is not a checkpoint.
    """
    from flowjax import training
    from flowjax.files.text import expand_paths
    from flowjax.parallel import devices, processes
    from flowjax.pretraining.packed import pack_text
    from flowjax.training.checkpoint import Checkpoints

    out = Path(out)
    train, paths, seed = config.train, expand_paths(text), config.train.seed
    with processes.first_alone():  # makes the files that the other processes then find
        out.mkdir(parents=True, exist_ok=True)
        tokenizer = prepare_tokenizer(config, paths, out)
        length = config.data.length
        rows = pack_text(paths, tokenizer, out / "train.npy", length=length)
        held = None
        if heldout:
            held = pack_text(expand_paths(heldout), tokenizer, out / "heldout.npy", length=length)
        sizes = bert_config(config, tokenizer.get_vocab_size())
        model = MaskedLM(sizes, dtype=jnp.dtype(train.dtype))
        mask_id = tokenizer.token_to_id("[MASK]")
        if mask_id is None:
            raise ValueError("tokenizer: expected one with a [MASK] token, found none")
        params = initial_params(model, seed, rows, config, out)
    masking = Masking(train.mask_rate, mask_id, sizes.vocab_size)
    optimizer = make_optimizer(config)
    state = training.init_state(params, optimizer)
    began = time.time()

    def on_chunk(chunk: training.Chunk, state: training.TrainState) -> None:
        if not processes.is_first():
            return  # and waits for the first one's held-out loss and export
        tokens = (chunk.stop - chunk.start) * train.batch_size * config.data.length
        row = {
            "step": chunk.stop,
            "loss": float(chunk.metrics["loss"].mean()),
            "accuracy": float(chunk.metrics["accuracy"].mean()),
            "grad_norm": float(chunk.metrics["grad_norm"].max()),
            "learning_rate": float(chunk.metrics["learning_rate"][-1]),
            "tokens_per_s": tokens / chunk.seconds,
        }
        if held is not None and train.validate_every and chunk.stop % train.validate_every == 0:
            scores = evaluate_masked_lm(model, devices.to_host(state.params), held, masking)
            row |= {f"heldout_{k}": v for k, v in scores.items()}
        log(row)
        if train.export_every and chunk.stop % train.export_every == 0:
            export(devices.to_host(state.params), out / "encoders" / str(chunk.stop))

    def export(params: Any, folder: Path) -> None:
        save_pretrained(params["params"]["bert"], sizes, folder, dtype=np.dtype(train.save_dtype))
        tokenizer.save(str(folder / "tokenizer.json"))

    with Checkpoints(out / "checkpoints", keep=3) as checkpoints:
        if (found := checkpoints.restore(state)) is not None:
            state = found[1]
        state = training.train(
            make_loss(model, masking),
            optimizer,
            state,
            PackedRows(rows),
            steps=train.steps,
            batch_size=train.batch_size,
            seed=seed,
            accumulate=train.accumulate,
            checkpoints=checkpoints,
            checkpoint_every=train.checkpoint_every,
            on_chunk=on_chunk,
            every=math.gcd(train.validate_every, train.export_every) or None,
            stop=stop,
        )
    if not processes.is_first():
        return {}
    params = devices.to_host(state.params)
    report: dict[str, Any] = {
        "steps": train.steps,
        "tokens": train.steps * train.batch_size * config.data.length,
        "text_tokens": int(rows.size),
        "seconds": time.time() - began,
    }
    if held is not None:
        scores = evaluate_masked_lm(model, params, held, masking, limit=4096)
        report |= {f"heldout_{k}": v for k, v in scores.items()}
    folder = out / "model"
    export(params, folder)
    (folder / "pretrain.json").write_text(json.dumps(report, indent=2))
    shutil.copy(out / "config.toml", folder / "pretrain.toml") if (
        out / "config.toml"
    ).exists() else None
    return report
