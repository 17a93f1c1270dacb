"""XMP: read by another library, next to what was there, with the pixels untouched; and files that are damaged."""

from __future__ import annotations

import contextlib
import io
import json
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from guard.errors import StampError
from guard.provenance import xmp

FACTS = {xmp.SOURCE_TYPE: "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"}
OLD = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' Iptc4xmpExt:DigitalSourceType="old"><dc:creator>Ann</dc:creator></rdf:Description></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
)


def picture(kind: str, *, packet: str | None = None, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    image = Pillow.effect_noise((33, 21), 80).convert(mode)
    if packet and kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", packet, zip=True)
    elif packet:
        options["xmp"] = packet.encode()
    image.save(out, kind, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("PNG", {"mode": "RGBA"}),
        ("JPEG", {}),
        ("JPEG", {"exif": Pillow.Exif().tobytes() + b"\0" * 8, "progressive": True}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"lossless": True, "mode": "RGBA"}),
        ("WEBP", {"mode": "RGBA"}),
    ],
)
@pytest.mark.parametrize("packet", [None, OLD])
def test_another_library_reads_it_and_the_pixels_stay(kind: str, options: dict[str, Any], packet: str | None) -> None:
    before = picture(kind, packet=packet, **options)
    facts = {**FACTS, xmp.AIGC: xmp.aigc("Exámple & <Co>", "id-1")}
    after = xmp.write(before, facts, xmp.read(before))
    with Pillow.open(io.BytesIO(before)) as old, Pillow.open(io.BytesIO(after)) as new:
        assert new.size == old.size
        assert new.mode == old.mode
        assert new.tobytes() == old.tobytes()
        assert new.info.get("exif") == old.info.get("exif")
        raw = new.info.get("xmp") or new.info["XML:com.adobe.xmp"]
    text = raw.decode() if isinstance(raw, bytes) else raw
    assert text.strip("\0") == xmp.read(after)
    assert text.count("DigitalSourceType") == (2 if "</Iptc4xmpExt" in text else 1)  # its two tags: said once
    assert FACTS[xmp.SOURCE_TYPE] in text
    assert ("Ann" in text) == (packet is not None)
    root = xmp._parsed(text)
    [field] = [one for one in root.iter() if one.tag == xmp.AIGC]
    assert json.loads(field.text or "") == {
        "Label": "1",
        "ContentProducer": "Exámple & <Co>",
        "ProduceID": "id-1",
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }
    again = xmp.write(after, facts, xmp.read(after))
    assert [one.text for one in xmp._parsed(xmp.read(again) or "").iter() if one.tag == xmp.SOURCE_TYPE] == [
        FACTS[xmp.SOURCE_TYPE]
    ]


def test_packets_that_are_none_are_refused() -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>'
    for packet in (bomb, "<x:xmpmeta", "no XML at all"):
        with pytest.raises(StampError) as caught:
            xmp.extended(packet, FACTS)
        assert caught.value.reason == "unreadable_metadata"
    with pytest.raises(StampError, match="too long"):
        xmp.write(picture("JPEG"), {xmp.AIGC: "x" * 70_000}, None)
    with pytest.raises(StampError, match="PNG, JPEG and WebP only"):
        xmp.read(b"GIF89a")


def test_a_compressed_packet_may_not_swell() -> None:
    data = picture("PNG", packet=OLD)
    swollen = zlib.compress(b" " * (1 << 26))
    chunk = b"XML:com.adobe.xmp\0\x01\0\0\0" + swollen
    kind, chunks = xmp._taken_apart(data)
    assert kind == "png"
    packed = xmp._png([chunks[0], (b"iTXt", chunk)], b"")
    assert len(xmp._packet("png", xmp._taken_apart(packed)[1][2][1])) <= 1 << 20


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.integers(0, 400), st.binary(max_size=6), st.integers(0, 400))
def test_damaged_files_are_read_or_refused(kind: str, place: int, planted: bytes, cut: int) -> None:
    data = picture(kind, packet=OLD)
    damaged = (data[:place] + planted + data[place + len(planted) :])[: len(data) - cut]
    with contextlib.suppress(StampError):  # and nothing else
        xmp.write(damaged, FACTS, xmp.read(damaged))
