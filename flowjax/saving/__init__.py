"""Folders and files on disk for fitted flows, sentence models and parameter trees."""
