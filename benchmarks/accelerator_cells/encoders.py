"""Measurements of encoders: vectors, masked-language-model steps, and strings to vectors."""

from __future__ import annotations

import statistics
import time
from functools import partial
from itertools import product
from typing import Any

from accelerator_cells.measure import (
    Results,
    Size,
    memory,
    product_rate,
    random_params,
    timed,
    train_ms,
)


def bert_flops(config: dict[str, Any], rows: int, length: int) -> float:
    """Floating-point operations of the matrix products of an encoder."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    token = 2 * (4 * width**2 + 2 * width * inner) + 4 * length * width
    return float(config["num_hidden_layers"] * token * rows * length)


def encoder(size: Size) -> Results:
    import jax
    import jax.numpy as jnp

    from flowjax.encoder.bert import Bert, BertConfig
    from flowjax.encoder.embed_rows import embed_rows

    config = BertConfig(**size["bert"])
    reached = product_rate(size["matmul"], jnp.bfloat16, None, size["seconds"])
    example = jnp.ones((1, 8), int)
    for dtype in size["dtypes"]:
        bert = Bert(config, jnp.dtype(dtype), with_pooler=False)
        params = jax.device_put(random_params(bert.init, jax.random.key(0), example)["params"])
        embed = jax.jit(partial(embed_rows, bert, "first_last", True))
        for length in size["lengths"]:
            rows = size["tokens"] // length
            shape = (rows, length)
            ids = jax.random.randint(jax.random.key(1), shape, 5, config.vocab_size)
            mask = jnp.ones(shape, jnp.int32)
            positions = jnp.broadcast_to(jnp.arange(length), shape)
            found = timed(partial(embed, params, ids, mask, positions), size["seconds"])
            rate = bert_flops(size["bert"], rows, length) / found["ms"] / 1e9
            values = {"sentences/s": 1e3 * rows / found["ms"], "TFLOP/s": rate}
            values["of the bfloat16 product"] = rate / reached
            yield f"{dtype}, {rows} x {length}", {**values, **found, **memory()}


def torch_encoder(size: Size) -> Results:
    """The same sizes in PyTorch: scaled dot-product attention, mean of layers 1 and 12."""
    import torch
    import transformers

    on = "cuda" if torch.cuda.is_available() else "cpu"
    config = transformers.BertConfig(**size["bert"], attn_implementation="sdpa")
    model = transformers.BertModel(config, add_pooling_layer=False).eval().to(on, torch.bfloat16)

    def wait() -> None:
        if on == "cuda":
            torch.cuda.synchronize()

    for compiled in (False, True) if on == "cuda" else (False,):
        call = torch.compile(model, dynamic=False) if compiled else model
        for length in size["lengths"]:
            rows = size["tokens"] // length
            ids = torch.randint(5, config.vocab_size, (rows, length), device=on)

            def embed(ids: Any = ids, call: Any = call) -> Any:
                states = call(ids, output_hidden_states=True).hidden_states
                return ((states[1].float() + states[-1].float()) / 2).mean(1)

            times = []
            with torch.inference_mode():
                began = time.perf_counter()
                embed()
                wait()
                first = time.perf_counter() - began
                began, count = time.perf_counter(), 0
                while time.perf_counter() - began < size["seconds"] or count < 3:
                    then = time.perf_counter()
                    embed()
                    wait()
                    times.append(1e3 * (time.perf_counter() - then))
                    count += 1
            ms = statistics.median(times)
            rate = bert_flops(size["bert"], rows, length) / ms / 1e9
            values = {"sentences/s": 1e3 * rows / ms, "TFLOP/s": rate, "ms": ms, "first_s": first}
            kind = "torch.compile" if compiled else "eager"
            yield f"{kind}, bfloat16, {rows} x {length}", {**values, "torch": torch.__version__}


def masked_lm(size: Size) -> Results:
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from flowjax.encoder.bert import BertConfig
    from flowjax.pretraining.masked_lm import MaskedLM, Masking, masked_lm_loss
    from flowjax.pretraining.packed import PackedRows

    rows, length = size["masked"]
    vocab = size["bert"]["vocab_size"]
    ids = np.random.default_rng(0).integers(5, vocab, (rows * 64, length)).astype(np.uint16)
    masking = Masking(0.15, 4, vocab)
    for dtype, dropout in product(size["dtypes"], size["dropouts"]):
        config = BertConfig(
            **size["bert"], hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout
        )
        model = MaskedLM(config, jnp.dtype(dtype))

        # As in `pretraining.objective`, whose configs need further packages.
        def loss(params: Any, _: Any, batch: Any, key: Any, model: Any = model) -> Any:
            keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["rows"])
            return masked_lm_loss(model, params, batch["ids"], keys, masking, train=True)

        example = jnp.ones((1, 8), int)
        params = random_params(model.init, jax.random.key(0), example, example[:, :2])
        found = train_ms(
            loss, optax.adamw(1e-4), params, PackedRows(ids), rows,
            size["step_seconds"],
        )  # fmt: skip
        head = 2 * masking.count(length) * rows * config.hidden_size * vocab
        rate = 3 * (bert_flops(size["bert"], rows, length) + head) / found["ms"] / 1e9
        values = {"tokens/s": 1e3 * rows * length / found["ms"], "TFLOP/s": rate}
        yield f"{dtype}, dropout {dropout}, {rows} x {length}", {**values, **found, **memory()}


def sentences(size: Size) -> Results:
    """Strings in, calibrated vectors out: the tokenizer, packing and copies are included."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from flowjax.encoder.bert import Bert, BertConfig
    from flowjax.encoder.embed import SentenceEncoder
    from flowjax.model import BertFlow

    config = BertConfig(**size["bert"])
    bert = Bert(config, with_pooler=False)
    params = random_params(bert.init, jax.random.key(0), jnp.ones((1, 8), int))["params"]
    tokenizer = SentenceEncoder.from_pretrained("minibert").tokenizer
    words = "the harbour was quiet a man plays guitar and two dogs run in red rain".split()
    rng = np.random.default_rng(0)
    counts = rng.integers(4, 24, size["sentences"])
    sentences = [" ".join(rng.choice(words, n)) for n in counts]
    for batch in size["batch_sizes"]:
        encoder = SentenceEncoder(
            params, config, tokenizer, name="random", batch_size=batch, dtype="bfloat16"
        )
        model = BertFlow(encoder, flow="standardize")
        model.fit_vectors(rng.normal(size=(64, encoder.dim)).astype("f4"), measured=False)
        times = []
        for _ in range(2):
            began = time.perf_counter()
            model.encode(sentences)
            times.append(time.perf_counter() - began)
        values = {"sentences/s": len(sentences) / times[1], "first_s": times[0]}
        yield f"batch_size {batch}", {**values, **memory()}
