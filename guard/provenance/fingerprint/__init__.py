"""What released content is known by when its marks and its bytes are gone: made before it is recorded, sealed with its entry.

Images: PDQ, pHash and a thumbnail. Texts: MinHash of 3-word shingles and winnowed stretches. Sounds: energies of bands.
A plain fingerprint of personal content would let anybody confirm a guess of it. So the record seals it like the content, under
the same key: it is erased with it, in every backup.
"""

from __future__ import annotations

import json
from dataclasses import replace

from guard.digest import JSON, canonical
from guard.errors import ContentError, MissingExtra
from guard.provenance import jumbf
from guard.types import Audio, Content, Image, Layer, Stamp, Text

KIND = "fingerprint"
ROLE, THUMBNAIL = "fingerprint", "thumbnail"  # of the bodies
VERSION = 1


def stamped(content: Content, stamp: Stamp) -> Stamp:
    """The stamp of content as it is released, with its fingerprint; where none can be made, a layer that says why."""
    detail: dict[str, JSON] = {}
    if isinstance(content, Image) and (label := jumbf.active_label(content.data)) is not None:
        detail["manifest_id"] = label
    try:
        algorithm, traces = _made(content)
    except (ContentError, MissingExtra) as error:
        layer = Layer(KIND, "failed", "", {"reason": str(error)})
        return replace(stamp, layers=(*stamp.layers, layer))
    if not traces:
        layer = Layer(KIND, "not_applicable", algorithm, {"reason": "there is too little in it to be known by"})
        return replace(stamp, layers=(*stamp.layers, layer))
    return replace(stamp, layers=(*stamp.layers, Layer(KIND, "applied", algorithm, detail)), traces=traces)


def _made(content: Content) -> tuple[str, dict[str, Content]]:
    """The algorithm, and the bodies to be sealed by role; none where there is too little to be known by."""
    from guard.provenance.fingerprint import audio, image, text

    if isinstance(content, Image):
        print_ = image.of(content)
        return image.ALGORITHM, {ROLE: _body(image=print_.data()), THUMBNAIL: print_.thumbnail} if print_ else {}
    if isinstance(content, Text):
        keys = text.keys(content.text)
        return text.ALGORITHM, {ROLE: _body(text=text.pack(keys))} if len(keys) else {}
    if not isinstance(content, Audio):
        return "", {}
    frames = audio.frames(content)
    return audio.ALGORITHM, {ROLE: _body(audio=audio.pack(frames))} if len(frames) else {}


def _body(**value: JSON) -> Text:
    return Text(canonical({"v": VERSION, **value}).decode())


def parse(data: bytes) -> dict[str, JSON]:
    """What a body of the role `fingerprint` holds: `image`, `text` or `audio`; nothing for one of another version."""
    found = json.loads(data)
    return found if found.get("v") == VERSION else {}
