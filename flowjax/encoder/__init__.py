"""Frozen BERT encoders that map sentences to vectors.

- `embed.py`: `SentenceEncoder`, a BERT with a tokenizer and a pooling.
- `sentence_model.py`: base class with the interface of sentence-transformers and mteb.
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
