"""Frozen BERT encoders that map sentences to vectors.

- `embed.py`: `SentenceEncoder`, a BERT with a tokenizer and a pooling.
- `sentence_model.py`: base class with the interface of sentence-transformers and mteb.
- `similarity.py`: cosine similarities of sentences and vectors.
- `texts.py`: converts the inputs of a sentence model to strings.
- `embed_rows.py`: the device computation of `SentenceEncoder`.
- `corpus.py`: embeds the sentences of a file in memory or into an embedding store.
- `resolve.py`: finds the folder of an encoder by its name.
- `tokenizer.py`: loads or trains a tokenizer.
- `batching.py`: packs tokenized sentences into batches of few shapes.
- `bert.py`: BERT and its relatives as a Flax module.
- `bert_config.py`: sizes and families of BERT, as in Hugging Face's `config.json`.
- `dense.py`: dense layer with gradients that are fast on a CPU.
- `pooling.py`: pools token vectors into sentence vectors.
- `precision.py`: quantises vectors to 8-bit integers or bits.
- `weights/`: reads and writes checkpoint files.
"""

from typing import TYPE_CHECKING

from flowjax._lazy import lazy

if TYPE_CHECKING:
    from flowjax.encoder.adapter import EncoderAdapter
    from flowjax.encoder.bert import Bert
    from flowjax.encoder.bert_config import BertConfig
    from flowjax.encoder.counts import EncodeReport
    from flowjax.encoder.embed import SentenceEncoder
    from flowjax.encoder.opened import open_encoder
    from flowjax.encoder.pooling import POOLINGS
    from flowjax.encoder.sentence_model import SentenceModel
    from flowjax.encoder.tokenizer import load_tokenizer

_MODULES = {
    "Bert": "flowjax.encoder.bert",
    "BertConfig": "flowjax.encoder.bert_config",
    "EncodeReport": "flowjax.encoder.counts",
    "EncoderAdapter": "flowjax.encoder.adapter",
    "POOLINGS": "flowjax.encoder.pooling",
    "SentenceEncoder": "flowjax.encoder.embed",
    "SentenceModel": "flowjax.encoder.sentence_model",
    "load_tokenizer": "flowjax.encoder.tokenizer",
    "open_encoder": "flowjax.encoder.opened",
}

__all__ = [
    "Bert",
    "BertConfig",
    "EncodeReport",
    "EncoderAdapter",
    "POOLINGS",
    "SentenceEncoder",
    "SentenceModel",
    "load_tokenizer",
    "open_encoder",
]

if not TYPE_CHECKING:  # type checkers would accept any name
    __getattr__, __dir__ = lazy(__name__, _MODULES)
