"""Fine-tuning of a sentence encoder on pairs or on plain sentences.

- `finetune.py`: the complete run, from files to an encoder folder.
- `nli.py`, `mnr.py`, `simcse.py`: one objective each, a pure function of (params, batch, key).
- `objective.py`: the loss of the training loop, made of an objective and an encoder.
- `encode.py`: vectors of the sentences of a batch, with gradient caching.
- `packing.py`, `source.py`: batches of packed sentences of constant shape.
- `pair_files.py`, `rows.py`, `examples.py`, `detokenize.py`: labelled pairs, triplets, sentences.
- `selection.py`: measures on held-out sentences, and the best parameters of a run.
- `preparation.py`, `record.py`: inputs of a run; its metrics and best parameters.
- `export.py`: the encoder folder.
"""

__all__: list[str] = []


def __dir__() -> list[str]:
    return __all__
