"""Readers of text files: lines, CSV and TSV tables, JSON lines, JSON metadata."""
