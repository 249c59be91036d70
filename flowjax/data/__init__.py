"""Data: sentences from files, vectors on disk, and shuffled batches; numpy at import, no more."""
