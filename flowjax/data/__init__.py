"""Data: sources of sentences, vectors on disk, shuffled batches."""
