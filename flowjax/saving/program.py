"""Exported programs: encoder, pooling and flow as StableHLO, which run without flowjax."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax._version import __version__
from flowjax.encoder.bert import Bert
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.pooling import layers_of, pool_packed
from flowjax.encoder.projection import apply_dense
from flowjax.encoder.tokenizer import encode_texts
from flowjax.errors import FlowjaxError, check_choice, first_line
from flowjax.saving.flow import describe_flow
from flowjax.saving.folder import CARD, new_folder
from flowjax.saving.params import leaf_name, save_params
from flowjax.types import Flow, Params

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Array = jax.Array
# Names of jax.export; other names compile for a platform that does not exist.
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
DEFAULT_PLATFORMS = ("cpu", "cuda", "tpu")
PROGRAM, WEIGHTS, TOKENIZER = "program.bin", "weights.safetensors", "tokenizer.json"
# The tokenizer pads to multiples, because each length is compiled once.
MULTIPLE = 16

EXAMPLE = """\
import json

import jax
import numpy as np
from jax import export
from safetensors.numpy import load_file
from tokenizers import Tokenizer

folder = "{folder}"
with open(f"{{folder}}/program.bin", "rb") as file:
    program = jax.jit(export.deserialize(bytearray(file.read())).call)
weights = jax.device_put(load_file(f"{{folder}}/weights.safetensors"))
tokenizer = Tokenizer.from_file(f"{{folder}}/tokenizer.json")
with open(f"{{folder}}/config.json") as file:
    prompt = json.load(file)["program"]["prompt"]


def encode(sentences):
    tokens = tokenizer.encode_batch([prompt + sentence for sentence in sentences])
    ids = np.array([t.ids for t in tokens], np.int32)
    mask = np.array([t.attention_mask for t in tokens], np.int32)
    return np.asarray(program(weights, ids, mask))
"""


def export_program(
    folder: str | Path,
    encoder: Any,
    flow: Flow,
    params: Params,
    platforms: str | Sequence[str] = DEFAULT_PLATFORMS,
    *,
    prompt: str = "",
    overwrite: bool = False,
) -> Path:
    """Writes a folder with the program of a sentence model.

    The program maps token ids and a mask, int32, shape (n, length), to calibrated vectors,
    float32, shape (n, dim). Both n and length are free. Later releases of JAX can load programs
    of jax.export for at least six months.

    The folder contains `program.bin` (jax.export, StableHLO), `weights.safetensors`, the arguments
    of the program, `tokenizer.json`, which truncates and pads, `config.json`, and a `README.md`
    with an example.

    Args:
        folder: path of a new folder; missing parents are created.
        encoder: a `SentenceEncoder`.
        flow: fitted flow.
        params: fitted parameters.
        platforms: names among `PLATFORMS`, or one name.
        prompt: prefix of every sentence, for `config.json`.
        overwrite: True replaces a folder of an earlier export.

    Returns:
        The path of the folder.

    Raises:
        FlowjaxError: A platform is unknown or repeated, the folder exists and `overwrite` is
            False, the encoder is of another package, or its tokenizer or the flow cannot be
            exported.
    """
    if not isinstance(encoder, SentenceEncoder):
        raise FlowjaxError(
            f"encoder: expected a SentenceEncoder to export, got {encoder.describe()['encoder']} "
            "of another package; load its folder with SentenceEncoder.from_pretrained"
        )
    names = check_platforms(platforms)
    tokenizer, length = padding_tokenizer(encoder)
    weights = {"encoder": encoder.params, "flow": params}
    config = {
        "flow": describe_flow(flow, params),
        "program": {
            "platforms": names,
            "dim": flow.latent_dim or flow.dim,
            "max_length": encoder.max_length,
            "prompt": prompt,
            "jax": jax.__version__,
            **encoder.describe(),
        },
    }
    with new_folder(folder, config, overwrite=overwrite) as new:
        (new / PROGRAM).write_bytes(_serialized(encoder, flow, weights, names, length))
        save_params(weights, new / WEIGHTS)
        tokenizer.save(str(new / TOKENIZER))
        (new / CARD).write_text(_card(encoder, flow, names), "utf-8")
    return Path(folder)


def check_platforms(platforms: str | Sequence[str]) -> list[str]:
    """Returns the names of platforms as a list.

    Raises:
        FlowjaxError: There is no name, or a name is unknown or repeated.

    Example:
        >>> check_platforms("cpu"), check_platforms(("tpu", "cuda"))
        (['cpu'], ['tpu', 'cuda'])
    """
    names = [platforms] if isinstance(platforms, str) else list(platforms)
    if not names:
        raise FlowjaxError(f"platforms: expected one of {', '.join(PLATFORMS)}, got none")
    for name in names:
        check_choice("platforms", name, PLATFORMS)
    if len(set(names)) < len(names):
        raise FlowjaxError(f"platforms: expected distinct names, got {', '.join(names)}")
    return names


def padding_tokenizer(encoder: SentenceEncoder) -> tuple[Tokenizer, int]:
    """Returns the tokenizer of an encoder, which truncates and pads, and its largest length.

    Raises:
        FlowjaxError: The tokenizer has no `tokenizer.json`, or truncates in another way than the
            encoder.
    """
    from tokenizers import Tokenizer

    if not isinstance(encoder.tokenizer, Tokenizer):
        raise FlowjaxError(
            f"tokenizer: expected a fast tokenizer, which can be written as {TOKENIZER}, got one "
            "that only transformers can run; export an encoder whose tokenizer has a fast version"
        )

    most = encoder.max_length
    length = -(-most // MULTIPLE) * MULTIPLE
    multiple: int | None = MULTIPLE
    if length > encoder.config.max_length:
        length, multiple = most, None
    tokenizer = Tokenizer.from_str(encoder.tokenizer.to_str())
    tokenizer.enable_truncation(most)
    tokenizer.enable_padding(pad_to_multiple_of=multiple)
    long = "a " * (2 * most)
    (whole,) = encode_texts(encoder.tokenizer, [long])
    if (found := tokenizer.encode(long).ids[:most]) != [*whole[: most - 1], whole[-1]]:
        raise FlowjaxError(
            "tokenizer: expected one special token at the end of a sentence, got a tokenizer that "
            f"truncates to {len(found)} tokens in another way, so the program would differ"
        )
    return tokenizer, length


def vectors_of(
    encoder: SentenceEncoder, flow: Flow, weights: Mapping[str, Any], ids: Array, mask: Array
) -> Array:
    """Returns the calibrated vectors of padded sentences, shape (n, dim), float32.

    Args:
        encoder: sentence encoder; its parameters are not used.
        flow: flow.
        weights: `{"encoder": ..., "flow": ...}`, the parameters.
        ids: token ids, one sentence per row, shape (n, length).
        mask: 1 at tokens and 0 at padding, shape (n, length).
    """
    params, pooling = weights["encoder"], encoder.pooling
    bert = Bert(encoder.config, jnp.dtype(encoder.dtype), with_pooler="pooler" in params)
    states: Any = bert.apply({"params": params}, ids, mask, layers=layers_of(pooling))
    if pooling == "pooler":
        vectors = states[0].astype(jnp.float32)
    else:
        inner = encoder.special_tokens
        vectors = pool_packed(states, mask, pooling, slots=1, special_tokens=inner)[:, 0]
    with jax.default_matmul_precision("highest"):  # as on the host
        vectors = apply_dense(encoder.dense, vectors, jnp)
    if encoder.normalize:
        norms = jnp.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / jnp.where(norms == 0, 1, norms)
    return flow.forward(weights["flow"], vectors)[0]


def _serialized(
    encoder: SentenceEncoder,
    flow: Flow,
    weights: Mapping[str, Any],
    platforms: Sequence[str],
    length: int,
) -> bytes:
    from jax import export

    places, structure = jax.tree_util.tree_flatten_with_path(weights)
    order = [leaf_name(place) for place, _ in places]

    def call(named: Mapping[str, Array], ids: Array, mask: Array) -> Array:
        tree = jax.tree.unflatten(structure, [named[name] for name in order])
        return vectors_of(encoder, flow, tree, ids, mask)

    shape = export.symbolic_shape("n, length", constraints=[f"length <= {length}"])
    rows = jax.ShapeDtypeStruct(shape, np.int32)
    shapes = {
        name: jax.ShapeDtypeStruct(np.shape(leaf), np.asarray(leaf).dtype)
        for name, (_, leaf) in zip(order, places, strict=True)
    }
    try:
        exported = export.export(jax.jit(call), platforms=platforms)(shapes, rows, rows)
    except (TypeError, ValueError, NotImplementedError, jax.errors.JAXTypeError) as error:
        # Such as a composed flow that needs the number of examples.
        raise FlowjaxError(
            "flow: expected functions of any number of examples that jax.export can lower, got: "
            f"{first_line(error)}"
        ) from error
    return bytes(exported.serialize())


def _card(encoder: SentenceEncoder, flow: Flow, platforms: Sequence[str]) -> str:
    return f"""# Program of {flow.name} on {encoder.name}

Sentence vectors of a frozen BERT, calibrated by a normalizing flow (BERT-flow, arXiv 2011.05864).
Exported by bert-flowjax {__version__} with JAX {jax.__version__} for {", ".join(platforms)}.

The program needs `pip install jax flatbuffers safetensors tokenizers`, and not flowjax:

```python
{EXAMPLE.format(folder="this/folder")}```

JAX compiles the program once for each shape. The tokenizer pads to the longest sentence of a call,
so use few numbers of sentences per call.
"""
