"""Generators: one file a modality."""
