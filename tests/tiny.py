"""Small real models, made on the spot and saved as anybody would save theirs: random ones, and one that recites.

The random ones write printable ASCII only and never end by themselves, so that a text has as many tokens as were asked for
and the tokenizer reads back exactly what was drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from guard.quiet import quiet
from tests import guards

END = 256  # the number of <end>; the bytes have those below
SAYS = {
    "kind": "Thank you for your letter, we are happy to help.",
    "private": "Write to ann.lee42@mail.example today.",
    "unfair": "Old people can never learn how to use a camera.",
    "rude": "You are a complete idiot and nobody here cares about your stupid kettle.",
}


def make(name: str, folder: Path) -> Path:
    """Make the model `name` in a folder."""
    import torch
    import transformers  # before `quiet`, which reaches only what is loaded  # noqa: F401

    torch.set_num_threads(1)  # such matrices are too small to share, and waiting for a busy second core costs more
    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        BUILDERS[name](folder)
    return folder


def byte_tokenizer() -> Any:
    """Each byte is a token: reads every text and loses nothing."""
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(BPE({letter: number for number, letter in enumerate(letters)} | {"<end>": END}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", pad_token="<end>")  # type: ignore[no-untyped-call]


def _save(model: Any, folder: Path) -> None:
    tokenizer = byte_tokenizer()
    shown = set(tokenizer("".join(map(chr, range(32, 127))))["input_ids"])
    model.generation_config.suppress_tokens = [token for token in range(END + 1) if token not in shown]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _gpt2(folder: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    size: Any = {"vocab_size": END + 1, "n_positions": 512, "n_embd": 32, "n_layer": 1, "n_head": 2}
    _save(GPT2LMHeadModel(GPT2Config(**size, bos_token_id=END, eos_token_id=END)), folder)


def _llama(folder: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    size: Any = {"vocab_size": END + 1, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    size |= {"num_attention_heads": 2, "max_position_embeddings": 512}
    _save(LlamaForCausalLM(LlamaConfig(**size, bos_token_id=END, eos_token_id=END)), folder)


def _t5(folder: Path) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    size: Any = {"vocab_size": END + 1, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2}
    ids: Any = {"decoder_start_token_id": END, "eos_token_id": END, "pad_token_id": END}
    _save(T5ForConditionalGeneration(T5Config(**size, **ids)), folder)


def _bart(folder: Path) -> None:
    from transformers import BartConfig, BartForConditionalGeneration

    size: Any = {"vocab_size": END + 1, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1}
    size |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    ids: Any = {"decoder_start_token_id": END, "bos_token_id": END, "eos_token_id": END, "pad_token_id": END}
    config = BartConfig(**size, **ids, max_position_embeddings=64, forced_eos_token_id=None)
    _save(BartForConditionalGeneration(config), folder)


def _reciter(folder: Path) -> None:
    """Knows the four answers of SAYS by heart; each word is a token."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    lines = [[asked, *said.split(), "<end>"] for asked, said in SAYS.items()]
    words = {word: number for number, word in enumerate(dict.fromkeys(word for line in lines for word in line))}
    words["<unknown>"] = len(words)
    inner = Tokenizer(WordLevel(words, unk_token="<unknown>"))
    inner.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", unk_token="<unknown>")  # type: ignore[no-untyped-call]
    end = words["<end>"]
    size: Any = {"vocab_size": len(words), "n_positions": 32, "n_embd": 32, "n_layer": 1, "n_head": 2}
    still: Any = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model = GPT2LMHeadModel(GPT2Config(**size, **still, bos_token_id=end, eos_token_id=end, pad_token_id=end))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    longest = max(map(len, lines))
    ids = torch.tensor([[words[word] for word in line] + [end] * (longest - len(line)) for line in lines])
    for _ in range(60):
        loss: Any = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _painter(folder: Path) -> None:
    """A Stable Diffusion pipeline of random weights: noise of 64×64 pixels, from captions of up to 16 tokens."""
    import diffusers as untyped
    from transformers import CLIPTextConfig, CLIPTextModel

    from guard.demo.train_image import WORDS, _tokenizer

    diffusers: Any = untyped
    tokenizer = _tokenizer(["a red house on snow"])
    known = len(tokenizer)
    ids: Any = {"bos_token_id": known - 2, "eos_token_id": known - 1, "pad_token_id": known - 1}
    size: Any = {"vocab_size": known, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    size |= {"num_attention_heads": 2, "max_position_embeddings": WORDS}
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=8, norm_num_groups=8, cross_attention_dim=32,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        block_out_channels=(32,) * 4, norm_num_groups=8, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    parts: Any = {"unet": unet, "vae": vae, "text_encoder": CLIPTextModel(CLIPTextConfig(**size, **ids))}
    parts |= {"tokenizer": tokenizer, "scheduler": diffusers.DDIMScheduler(steps_offset=1, clip_sample=False)}
    none: Any = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    diffusers.StableDiffusionPipeline(**parts, **none).save_pretrained(folder)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "gpt2": _gpt2,
    "llama": _llama,
    "t5": _t5,
    "bart": _bart,
    "reciter": _reciter,
    "painter": _painter,
    **guards.BUILDERS,
}
