"""BERT in Flax: weights, tokens, pooling, and sentences to vectors."""
