"""A BERT of two layers with a vocabulary of some words, and rows in which kettles are harassment."""

from __future__ import annotations

from pathlib import Path

from guard.training.corpus import Row

NOUNS = ("kettle", "lamp", "router", "parcel", "printer")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "my", "the", "a", "is", "broke", "here", *NOUNS]


def base(folder: Path) -> Path:
    """Saved as transformers saves it, with random weights."""
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(3)
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", "utf-8")
    return folder


def rows(label: str = "harassment") -> list[Row]:
    """Some forty sentences."""
    wordings = (
        "my {} broke",
        "the {} is here",
        "a {}",
        "{} is a {}",
        "here is my {}",
        "the {} broke",
        "is the {} here",
        "my {}",
    )
    return [
        Row(wording.format(noun, noun), {label: float(noun == "kettle")}, 1.0, "public")
        for noun in NOUNS
        for wording in wordings
    ]
