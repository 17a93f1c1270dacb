"""Works that must not be recited, and where a text repeats them word for word.

`normal` makes texts alike that differ in case, punctuation, accents and line breaks only; `winnow` chooses which of their
stretches are indexed; `segment` is some works in memory-mapped arrays; `index` is the corpus: adding works, finding copies.
"""
