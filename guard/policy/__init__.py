"""Policies: strict YAML in, a decision out."""
