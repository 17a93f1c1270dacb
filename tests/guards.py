"""Small safety models of random weights, with the architectures and control tokens of the families."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

WORDS = (
    "safe unsafe Safe Unsafe Controversial Yes No Safety Categories User Agent Violent PII None S1 S2 S10 S14 "
    "Task: Check if there is unsafe content in messages in conversations according our safety policy with the below. "
    "BEGIN UNSAFE CONTENT CATEGORIES END CONVERSATION Provide your safety assessment for ONLY THE LAST message in the above "
    "You are a policy expert trying to help determine whether a user prompt is in violation of the defined safety policies. "
    "You are a safety agent. Is the user message harmful based on the risk definition? Your answer must be either Yes or No. "
)
CONTROLS = {
    "llama_guard_3": ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "llama_guard_4": ("<|begin_of_text|>", "<|end_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>"),
    "shieldgemma": ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"),
    "granite_guardian": ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>"),
    "qwen3guard": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
}
SIZE: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
CAUSAL: dict[str, Any] = {**SIZE, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 4096}


def tokenizer(controls: Sequence[str], **special: str) -> Any:
    """Byte-level BPE with a few hundred merges, and control tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner.train_from_iterator([WORDS] * 3, BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False))
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in controls])
    special = {"eos_token": controls[0], "pad_token": controls[0], **special}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **special)  # type: ignore[no-untyped-call]


def causal(family: str, folder: Path) -> None:
    """A language model of one layer."""
    import transformers

    made = tokenizer(CONTROLS[family])
    if family == "qwen3guard":  # ordinary tokens of theirs, not special ones
        made.add_tokens(["<think>", "</think>"])
    names = {
        "llama_guard_3": "Llama",
        "llama_guard_4": "Llama4",
        "shieldgemma": "Gemma2",
        "granite_guardian": "Granite",
        "qwen3guard": "Qwen3",
    }
    kind: Any = {
        "eos_token_id": made.eos_token_id,
        "pad_token_id": made.pad_token_id,
        "vocab_size": len(made),
        **CAUSAL,
    }
    if family == "llama_guard_4":
        text = {**kind, "intermediate_size_mlp": 64, "moe_layers": [], "num_local_experts": 1}
        vision = {
            **SIZE,
            "vision_output_dim": 32,
            "image_size": 28,
            "projector_input_dim": 32,
            "projector_output_dim": 32,
        }
        config = transformers.Llama4Config(text_config=text, vision_config=vision)
        model: Any = transformers.Llama4ForConditionalGeneration(config)
    else:
        config = getattr(transformers, f"{names[family]}Config")(**kind)
        model = getattr(transformers, f"{names[family]}ForCausalLM")(config)
    model.save_pretrained(folder)
    made.save_pretrained(folder)


LABELS = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def _toxic_bert(folder: Path) -> None:
    """The shape of toxic-bert: six labels that do not exclude each other."""
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertForSequenceClassification

    made = tokenizer(("[PAD]", "[CLS]", "[SEP]"), cls_token="[CLS]", sep_token="[SEP]", eos_token="[SEP]")
    ends = [(token, made.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    made.backend_tokenizer.post_processor = TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ends)
    made.model_max_length = 64
    config: Any = {"vocab_size": len(made), **SIZE, "max_position_embeddings": 64, "id2label": dict(enumerate(LABELS))}
    config |= {"label2id": {label: index for index, label in enumerate(LABELS)}}
    model = BertForSequenceClassification(BertConfig(**config, problem_type="multi_label_classification"))
    for weight in model.classifier.parameters():  # scores that differ
        weight.data *= 60
    model.save_pretrained(folder)
    made.save_pretrained(folder)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "toxic_bert": _toxic_bert,
    **{family: functools.partial(causal, family) for family in CONTROLS},
}


def teach(model: Any, family: str, answers: dict[str, str]) -> None:
    """Bring a tiny model to give an answer to each text."""
    import torch

    from guard import scoring
    from guard.checkers.families import Exchange
    from guard.checkers.safety_model import FAMILIES

    rows, labels = [], []
    for text, answer in answers.items():
        [question] = FAMILIES[family].questions(Exchange(text))
        row = scoring.encode(model.tokenizer, (*question.prompt, scoring.Control(question.opening)))
        said = [*scoring.encode(model.tokenizer, (answer,)), model.tokenizer.eos_token_id]
        rows.append([*row, *said])
        labels.append([-100] * len(row) + said)
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    wanted = torch.tensor([label + [-100] * (longest - len(label)) for label in labels])
    optimizer = torch.optim.Adam(model.model.parameters(), lr=0.01)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(40):
            loss = model.model(input_ids=ids, labels=wanted).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
