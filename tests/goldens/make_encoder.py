"""Script that writes tests/goldens/encoder: tiny random models and reference results.

Three libraries write checkpoints, and each needs a separate environment:

    pip install torch==2.13.0 && pip install "transformers>=5" safetensors numpy
    python tests/goldens/make_encoder.py torch

    pip install transformers==4.46.3 jax==0.4.35 jaxlib==0.4.35 flax==0.10.2 "numpy<2.2"
    python tests/goldens/make_encoder.py flax

    pip install tensorflow-cpu safetensors
    python tests/goldens/make_encoder.py tensorflow

`encoder/FAMILY/` holds a model saved by transformers, in float16 to be small, and `states.npz`:
inputs, all hidden states, the output of the pooler and the vectors of each pooling, computed by
PyTorch in float32. `encoder/formats/` holds one BERT in every file format.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "encoder"
SMALL = dict(vocab_size=61, hidden_size=16, num_hidden_layers=2, num_attention_heads=2)
SMALL |= dict(intermediate_size=32, max_position_embeddings=40)
LENGTHS = (12, 9, 5, 2)


def randomize(model, seed):
    """Returns the model with random weights: gains other than 1 and biases other than 0."""
    import torch

    random = np.random.RandomState(seed)
    with torch.no_grad():
        for name, value in sorted(model.named_parameters()):
            draw = random.standard_normal(tuple(value.shape))
            if value.ndim == 1:
                gain = "norm" in name.lower() and name.endswith("weight")
                draw = 0.2 * draw + gain
            elif "embedding" in name:
                draw *= 0.8
            elif "relative_attention_bias" not in name:
                draw *= 1.3 / np.sqrt(value.shape[1])
            value.copy_(torch.tensor(draw).half().float())
    return model.eval()


def pooled_by_torch(states, mask, pooler):
    """Returns the vectors of every pooling, as the paper's code defines them."""
    import torch

    first, last, second = states[1], states[-1], states[-2]

    def mean(x, m):
        return (x * m[..., None]).sum(1) / m.sum(1, keepdim=True)

    inner = mask.clone()
    inner[:, 0] = 0
    inner[torch.arange(len(mask)), mask.sum(1) - 1] = 0
    inner = torch.where(inner.sum(1, keepdim=True) > 0, inner, mask)
    result = {"cls": last[:, 0]}
    if pooler is not None:
        result["pooler"] = pooler
    for suffix, m in (("", mask), ("_without_special", inner)):
        result["mean" + suffix] = mean(last, m)
        result["last2" + suffix] = mean((last + second) / 2, m)
        result["first_last" + suffix] = mean((first + last) / 2, m)
        result["embeddings_last" + suffix] = mean((states[0] + last) / 2, m)
    return result


def make_family(name, model, seed, types):
    import torch

    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    randomize(model, seed)
    random = np.random.RandomState(seed + 1)
    pad = model.config.pad_token_id
    mask = (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype(np.int64)
    ids = np.where(mask, random.randint(3, model.config.vocab_size, mask.shape), pad)
    inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
    arrays = {"ids": ids.astype(np.int32), "mask": mask.astype(np.int32)}
    if types:
        arrays["types"] = (random.rand(*mask.shape) < 0.5).astype(np.int32) * mask.astype(np.int32)
        inputs["token_type_ids"] = torch.tensor(arrays["types"], dtype=torch.int64)
    with torch.no_grad():
        out = model(**inputs, output_hidden_states=True)
    pooler = getattr(out, "pooler_output", None)
    for key, value in pooled_by_torch(out.hidden_states, inputs["attention_mask"], pooler).items():
        arrays[f"pooled_{key}"] = value.numpy()
    # states of padding tokens are unused; zeros compress well
    arrays["states"] = torch.stack(out.hidden_states).numpy() * mask[None, :, :, None]
    if name == "mpnet":
        bucket = model.encoder.relative_position_bucket
        arrays["buckets"] = bucket(torch.arange(-300, 301)).numpy().astype(np.int8)
    model.half().save_pretrained(folder)
    arrays = {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in arrays.items()}
    np.savez_compressed(folder / "states.npz", **arrays)


def torch_part():
    import torch
    from transformers import (
        BertConfig,
        BertForPreTraining,
        BertModel,
        DistilBertConfig,
        DistilBertModel,
        MPNetConfig,
        MPNetModel,
        RobertaConfig,
        RobertaModel,
    )

    torch.set_num_threads(1)
    wide = SMALL | dict(vocab_size=97, hidden_size=32, num_hidden_layers=3, num_attention_heads=4)
    wide |= dict(intermediate_size=40, max_position_embeddings=24)
    eager = dict(attn_implementation="eager")
    make_family("bert", BertModel(BertConfig(**wide, **eager)), 0, True)
    roberta = SMALL | dict(type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1)
    make_family("roberta", RobertaModel(RobertaConfig(**roberta, **eager)), 2, False)
    make_family("mpnet", MPNetModel(MPNetConfig(**SMALL, **eager)), 4, False)
    distil = dict(vocab_size=61, dim=16, n_layers=2, n_heads=2, hidden_dim=32)
    distil |= dict(max_position_embeddings=40, sinusoidal_pos_embds=False)
    make_family("distilbert", DistilBertModel(DistilBertConfig(**distil, **eager)), 6, False)

    tiny = dict(vocab_size=23, hidden_size=8, num_hidden_layers=2, num_attention_heads=2)
    tiny |= dict(intermediate_size=12, max_position_embeddings=10)
    model = randomize(BertForPreTraining(BertConfig(**tiny)), 8)
    folder = OUT / "formats"
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder / "safetensors")
    model.save_pretrained(folder / "safetensors_sharded", max_shard_size="5KB")
    for each in folder.glob("*/generation_config.json"):
        each.unlink()
    index = folder / "safetensors_sharded" / "model.safetensors.index.json"
    index.write_text(json.dumps(json.loads(index.read_text())))
    bare = randomize(BertModel(BertConfig(**tiny)), 8)
    bare.load_state_dict(model.bert.state_dict())
    bare.to(torch.bfloat16).save_pretrained(folder / "safetensors_bfloat16")

    def save(name, state, **how):
        (folder / name).mkdir()
        shutil.copy(folder / "safetensors" / "config.json", folder / name)
        torch.save(state, folder / name / "pytorch_model.bin", **how)

    save("torch_zip", model.state_dict())
    halves = [{}, {}]
    for i, (name, value) in enumerate(bare.state_dict().items()):
        halves[i % 2][name] = value
    save("torch_sharded_bfloat16", halves[0])
    sharded = folder / "torch_sharded_bfloat16"
    (sharded / "pytorch_model.bin").rename(sharded / "pytorch_model-00001-of-00002.bin")
    torch.save(halves[1], sharded / "pytorch_model-00002-of-00002.bin")
    weight_map = {
        name: f"pytorch_model-0000{i + 1}-of-00002.bin" for i in (0, 1) for name in halves[i]
    }
    index = {"metadata": {}, "weight_map": weight_map}
    (sharded / "pytorch_model.bin.index.json").write_text(json.dumps(index))

    # oldest format on the Hugging Face Hub: no zip container, Parameters, and gamma and beta
    def old_name(name):
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        return name.replace("LayerNorm.bias", "LayerNorm.beta")

    old = {old_name(n): p for n, p in model.named_parameters()}
    save("torch_legacy", old, _use_new_zipfile_serialization=False)
    # state dict nested in a checkpoint, with a tensor that has strides and an offset
    strided = {n: p.detach().half() for n, p in model.bert.named_parameters()}
    name = "embeddings.word_embeddings.weight"
    strided[name] = torch.cat([torch.zeros(8, 2).half(), strided[name].T], 1)[:, 2:].T
    save("torch_strided_float16", {"state_dict": strided, "epoch": 3})


def flax_part():
    from transformers import FlaxBertForPreTraining

    model = FlaxBertForPreTraining.from_pretrained(OUT / "formats" / "safetensors", from_pt=True)
    model.save_pretrained(OUT / "formats" / "flax")
    (OUT / "formats" / "flax" / "generation_config.json").unlink(missing_ok=True)


def tensorflow_part():
    import re

    import tensorflow as tf
    from safetensors.numpy import load_file

    folder = OUT / "formats" / "tensorflow"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(OUT / "formats" / "safetensors" / "config.json", folder / "bert_config.json")
    names, values = ["global_step"], [np.int64(7)]
    for name, value in load_file(OUT / "formats" / "safetensors" / "model.safetensors").items():
        name = re.sub(r"layer\.(\d+)", r"layer_\1", name).replace(".", "/")
        name = name.replace("LayerNorm/weight", "LayerNorm/gamma")
        name = name.replace("LayerNorm/bias", "LayerNorm/beta")
        if name.endswith("_embeddings/weight"):
            name = name.removesuffix("/weight")
        elif name.endswith("weight"):
            name, value = name.removesuffix("weight") + "kernel", value.T
        if name == "cls/predictions/bias":
            name = "cls/predictions/output_bias"
        names.append(name)
        values.append(np.ascontiguousarray(value))
        if name.startswith("bert/pooler"):  # optimizer state, as in a training checkpoint
            names.append(name + "/adam_m")
            values.append(np.zeros_like(value))
    prefix = str(folder / "bert_model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(v) for v in values],
    )


if __name__ == "__main__":
    {"torch": torch_part, "flax": flax_part, "tensorflow": tensorflow_part}[sys.argv[1]]()
