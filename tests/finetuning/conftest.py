"""A tiny encoder with a tokenizer, and sentences for it."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def sentences():
    """300 sentences of 3 to 14 common words."""
    words = (
        "a the man woman dog cat plays sees eats big small red guitar park ball in on with".split()
    )
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(words, rng.integers(3, 15))) for _ in range(300)]


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory, sentences):
    """Folder of a random BERT of one layer and 16 dimensions."""
    import jax
    import jax.numpy as jnp

    from flowjax.encoder.bert import Bert, BertConfig
    from flowjax.encoder.embed import SentenceEncoder
    from flowjax.encoder.tokenizer import train_wordpiece

    tokenizer = train_wordpiece(sentences, 80)
    config = BertConfig(
        tokenizer.get_vocab_size(), 16, 1, 2, 16, max_position_embeddings=24, initializer_range=0.2
    )
    model = Bert(config, with_pooler=False)
    params = model.init(jax.random.key(0), jnp.zeros((1, 4), int))["params"]
    folder = tmp_path_factory.mktemp("tiny") / "encoder"
    SentenceEncoder(params, config, tokenizer, max_length=24).save(folder)
    return folder
