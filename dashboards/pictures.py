"""Pictures for the reviewer: blurred here, on the server, so that the original never reaches a browser unasked."""

from __future__ import annotations

import base64
from io import BytesIO

from guard.types import Image

SHOWN = ("image/png", "image/jpeg", "image/webp", "image/gif")
_GRAIN = 14  # pixels that are left of the longer side before it is blown up again
_WIDTH = 640


def data_url(image: Image) -> str | None:
    """The bytes as they are; None for formats that a browser may run or cannot show."""
    if image.media_type not in SHOWN:
        return None
    return f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"


def blurred(image: Image) -> str | None:
    """A picture of colours only; None when it cannot be decoded."""
    from PIL import Image as Pillow
    from PIL import ImageFilter

    try:
        with Pillow.open(BytesIO(image.data), formats=("PNG", "JPEG", "WEBP", "GIF")) as opened:
            if opened.width * opened.height > Pillow.MAX_IMAGE_PIXELS:  # type: ignore[operator]
                return None
            small = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        return None
    shape = (_WIDTH, max(1, round(_WIDTH * small.height / small.width)))
    small.thumbnail((_GRAIN, _GRAIN))
    large = small.resize(shape, Pillow.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(18))
    out = BytesIO()
    large.save(out, "PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
