"""A small text-to-image model: a tiny autoencoder and a small conditional U-Net, saved as a Stable Diffusion pipeline."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guard.demo import scenes
from guard.demo.muon import Schedule, optimizers
from guard.models import device_name
from guard.quiet import quiet

WORDS = 16  # tokens of a caption, start and end included


@dataclass(frozen=True, slots=True)
class ImageRecipe:
    """What the training does; the cache key covers it."""

    pictures: int = 2000
    autoencoder_steps: int = 300
    autoencoder_width: int = 24
    autoencoder_rate: float = 6e-3
    steps: int = 310
    batch: int = 24
    rate: float = 3e-3
    matrix_rate: float = 0.01
    latents: int = 4
    width: int = 64


Note = Callable[[int, int, str], None]


def train(recipe: ImageRecipe, folder: Path, progress: Note) -> None:
    """Train and save a pipeline, as safetensors, in `folder`."""
    import torch

    with torch.random.fork_rng(), quiet():
        torch.manual_seed(0)
        random_numbers = torch.Generator().manual_seed(0)
        captions, pictures = _pictures(recipe)
        autoencoder = _autoencoder(recipe, pictures, random_numbers, progress)
        with torch.no_grad():
            latents = torch.cat([autoencoder.encoder(part) for part in pictures.split(100)])
        scale = float(1 / latents.std())
        autoencoder.register_to_config(scaling_factor=scale)
        _denoiser(recipe, autoencoder, captions, latents * scale, random_numbers, progress, folder)


def _pictures(recipe: ImageRecipe) -> tuple[list[str], Any]:
    import numpy as np
    import torch

    rng = random.Random(1)
    pairs = [scenes.sample(rng) for _ in range(recipe.pictures)]
    pixels = torch.from_numpy(np.stack([np.asarray(picture) for _, picture in pairs]))
    scaled = pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    return [caption for caption, _ in pairs], scaled.contiguous(memory_format=torch.channels_last).to(device_name())


def _autoencoder(recipe: ImageRecipe, pictures: Any, random_numbers: Any, progress: Note) -> Any:
    import diffusers
    import torch

    channels = (recipe.autoencoder_width,) * 3
    model: Any = diffusers.AutoencoderTiny(
        encoder_block_out_channels=channels,
        decoder_block_out_channels=channels,
        num_encoder_blocks=(0, 0, 1),
        num_decoder_blocks=(1, 0, 0),
        latent_channels=recipe.latents,
    )
    model.to(pictures.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.autoencoder_rate, betas=(0.9, 0.98), weight_decay=0.0)
    total = recipe.autoencoder_steps + recipe.steps
    for step in range(recipe.autoencoder_steps):
        share = min(1.0, (step + 1) / 10) * (1 - step / recipe.autoencoder_steps * 0.98)
        optimizer.param_groups[0]["lr"] = recipe.autoencoder_rate * share
        chosen = torch.randint(len(pictures), (16,), generator=random_numbers)
        top, left = (int(value) * 4 for value in torch.randint(9, (2,), generator=random_numbers))
        part = pictures[chosen.to(pictures.device)][:, :, top : top + 32, left : left + 32]
        latent = model.encoder(part)
        # A little noise makes the latent space smooth, so that the denoiser's small errors stay small.
        drawn = model.decoder(latent + torch.randn(latent.shape, generator=random_numbers).to(latent.device) * 0.05)
        loss = (drawn - part).abs().mean() + (drawn - part).pow(2).mean() + 1e-3 * latent.pow(2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        progress(step + 1, total, f"autoencoder {loss.item():.2f}")
    return model


def _denoiser(
    recipe: ImageRecipe,
    autoencoder: Any,
    captions: list[str],
    latents: Any,
    random_numbers: Any,
    progress: Note,
    folder: Path,
) -> None:
    import diffusers
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    tokenizer = _tokenizer(captions)
    ids = tokenizer(captions, padding="max_length", max_length=WORDS, truncation=True, return_tensors="pt")["input_ids"]
    empty = tokenizer([""], padding="max_length", max_length=WORDS, return_tensors="pt")["input_ids"]
    size, device = len(tokenizer), latents.device
    encoder: Any = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=size, hidden_size=recipe.width, intermediate_size=2 * recipe.width, num_attention_heads=4,
            num_hidden_layers=1, max_position_embeddings=WORDS, bos_token_id=size - 2, eos_token_id=size - 1,
            pad_token_id=size - 1, projection_dim=recipe.width,
        )
    )  # fmt: skip
    unet: Any = diffusers.UNet2DConditionModel(
        # The caption steers each block through the time embedding: cheaper than attention to its words, and learned sooner.
        block_out_channels=(3 * recipe.width // 8, recipe.width), norm_num_groups=8, layers_per_block=1, sample_size=16,
        in_channels=recipe.latents, out_channels=recipe.latents,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
        cross_attention_dim=recipe.width, attention_head_dim=4, addition_embed_type="text",
        addition_embed_type_num_heads=4, resnet_time_scale_shift="scale_shift",
    )  # fmt: skip
    encoder.to(device).train()
    unet.to(device, memory_format=torch.channels_last).train()
    scheduler: Any = diffusers.DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False, set_alpha_to_one=True,
        prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing",
        steps_offset=1,
    )  # fmt: skip
    parameters = [*unet.parameters(), *encoder.parameters()]
    schedule = Schedule(
        optimizers(
            [*unet.named_parameters(), *encoder.named_parameters()], _is_matrix,
            rate=recipe.rate, matrix_rate=recipe.matrix_rate,
        ),
        steps=recipe.steps,
    )  # fmt: skip
    average: list[Any] = []
    for step in range(recipe.steps):
        chosen = torch.randint(len(latents), (recipe.batch,), generator=random_numbers)
        dropped = torch.rand(recipe.batch, generator=random_numbers) < 0.1  # for classifier-free guidance
        words = torch.where(dropped[:, None], empty, ids[chosen]).to(device)
        moments = torch.randint(1000, (recipe.batch,), generator=random_numbers).to(device)
        clean = latents[chosen.to(device)]
        noise = torch.randn(clean.shape, generator=random_numbers).to(device)
        noisy = scheduler.add_noise(clean, noise, moments)
        wanted = scheduler.get_velocity(clean, noise, moments)
        loss = torch.nn.functional.mse_loss(unet(noisy, moments, encoder(words)[0]).sample, wanted)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        schedule.step(step)
        if step >= recipe.steps // 2:  # the average of the late weights draws better than the last
            current = [parameter.detach() for parameter in parameters]
            if average:
                torch._foreach_lerp_(average, current, 0.03)
            else:
                average = [parameter.clone() for parameter in current]
        progress(
            recipe.autoencoder_steps + step + 1, recipe.autoencoder_steps + recipe.steps, f"loss {loss.item():.2f}"
        )
    with torch.no_grad():
        for parameter, late in zip(parameters, average, strict=True):
            parameter.copy_(late)
    pipeline: Any = diffusers.StableDiffusionPipeline(
        unet=unet.cpu().eval(),
        vae=autoencoder.cpu().eval(),
        text_encoder=encoder.cpu().eval(),
        tokenizer=tokenizer,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)


def _is_matrix(name: str, parameter: Any) -> bool:
    """Inner matrices and convolutions; what reads or writes tokens, times and pictures is better off with AdamW."""
    edge = any(part in name for part in ("conv_in", "conv_out", "embedding", "time_emb"))
    return parameter.ndim in {2, 4} and min(parameter.shape[:2]) >= 16 and not edge


def _tokenizer(captions: list[str]) -> Any:
    """A CLIP tokenizer that knows each word of the captions as one token, and any other text by its bytes."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    letters = sorted(ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*letters, *(f"{letter}</w>" for letter in letters)])}
    merges: list[tuple[str, str]] = []
    for word in sorted({word.lower() for caption in captions for word in caption.split()}):
        parts = [*word[:-1], f"{word[-1]}</w>"]
        while len(parts) > 1:
            if (parts[0], parts[1]) not in merges:
                merges.append((parts[0], parts[1]))
            parts = [parts[0] + parts[1], *parts[2:]]
            vocabulary.setdefault(parts[0], len(vocabulary))
    for token in ("<|startoftext|>", "<|endoftext|>"):
        vocabulary[token] = len(vocabulary)
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=WORDS)  # type: ignore[arg-type]
