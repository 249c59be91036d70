"""Masked-language-model pretraining of a small BERT.

- `pretrain.py`: the complete run, from text files to an encoder folder.
- `preparation.py`: the tokenizer, the packed text, the model and its initial parameters.
- `packed.py`: tokenized text in rows of equal length, memory-mapped from one `.npy` file.
- `masked_lm.py`: the model head, the masking rule and the loss.
- `cross_entropy.py`: cross-entropy over a large vocabulary with a hand-written gradient.
- `objective.py`: the training loss, the optimizer and the held-out metrics of a run.
- `cooccurrence.py`: word embeddings from token co-occurrence counts.
- `starting_point.py`: initial parameters from word embeddings and fixed attention offsets.
"""

__all__: list[str] = []


def __dir__() -> list[str]:
    return __all__
