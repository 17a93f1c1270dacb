"""XMP in PNG, JPEG and WebP: what image software and platforms read. Pixels and all other chunks stay as they are.

Two facts are written: the digital source type (IPTC) and, for a named producer, the implicit label of China's GB 45438-2025,
JSON in the field AIGC of the namespace TC260. What an image says already stays, but for these two.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from xml.etree import ElementTree as Xml

from guard.errors import StampError

SOURCE_TYPE = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
AIGC = "{http://www.tc260.org.cn/ns/AIGC/1.0/}AIGC"
_RDF, _META = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}", "{adobe:ns:meta/}"
_PREFIXES = {"rdf": _RDF, "x": _META, "Iptc4xmpExt": SOURCE_TYPE, "TC260": AIGC}
_HEAD = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_TAIL = '\n<?xpacket end="w"?>'
_PNG_KEY, _PNG_HEAD = b"XML:com.adobe.xmp\0", b"\x89PNG\r\n\x1a\n"
_JPEG_KEY, _JPEG_ROOM = b"http://ns.adobe.com/xap/1.0/\0", 65_533
_WEBP_FLAG, _WEBP_ALPHA = 0x04, 0x10
_MAX = 1 << 20  # bytes of a packet that is read

Chunks = list[tuple[bytes, bytes]]


def aigc(producer: str, number: str) -> str:
    """The field AIGC: `Label` 1 says that it is generated; by whom and under which number; nobody has passed it on yet."""
    fields = {"Label": "1", "ContentProducer": producer, "ProduceID": number, "ReservedCode1": ""}
    return json.dumps(fields | {"ContentPropagator": "", "PropagateID": "", "ReservedCode2": ""}, ensure_ascii=False)


def read(data: bytes) -> str | None:
    """The XMP packet of a PNG, JPEG or WebP. Raises StampError where the file cannot be taken apart."""
    kind, chunks = _taken_apart(data)
    for name, body in chunks:
        if _is_xmp(kind, name, body):
            return _packet(kind, body)
    return None


def write(data: bytes, facts: Mapping[str, str], before: str | None) -> bytes:
    """The image with `facts` (by SOURCE_TYPE and AIGC) and what the packet `before` says as its XMP, instead of what it has.

    Raises StampError where they cannot be put there.
    """
    kind, chunks = _taken_apart(data)
    kept = [(name, body) for name, body in chunks if not _is_xmp(kind, name, body)]
    packet = extended(before, facts).encode()
    return _png(kept, packet) if kind == "png" else _jpeg(kept, packet) if kind == "jpeg" else _webp(kept, packet)


def extended(packet: str | None, facts: Mapping[str, str]) -> str:
    """A packet that says `facts` and whatever it said before. Raises StampError for one that is no XMP."""
    for prefix, name in _PREFIXES.items():
        Xml.register_namespace(prefix, name[1:].partition("}")[0])
    root = _parsed(packet) if packet else Xml.Element(f"{_META}xmpmeta")
    rdf = root if root.tag == f"{_RDF}RDF" else root.find(f"{_RDF}RDF")
    if rdf is None:
        rdf = Xml.SubElement(root, f"{_RDF}RDF")
    for description in rdf:
        for name in facts:
            description.attrib.pop(name, None)
            for old in description.findall(name):
                description.remove(old)
    ours = Xml.SubElement(rdf, f"{_RDF}Description", {f"{_RDF}about": ""}) if facts else rdf
    for name, value in facts.items():
        Xml.SubElement(ours, name).text = value
    return _HEAD + Xml.tostring(root, "unicode") + _TAIL


def _parsed(packet: str) -> Xml.Element:
    if "<!" in packet.replace("<!--", ""):
        raise StampError("the XMP of this image declares types or entities, which XMP may not", "unreadable_metadata")
    start, end = packet.find("<x:xmpmeta"), packet.rfind("<?xpacket")
    start = packet.find("<rdf:RDF") if start < 0 else start
    try:
        return Xml.fromstring(packet[max(start, 0) : end if end > start >= 0 else None])  # noqa: S314  (no entities: above)
    except Xml.ParseError as error:
        raise StampError("the XMP of this image cannot be read: remove it", "unreadable_metadata") from error


# --- files as chunks ---------------------------------------------------------------------------------------------------


def _taken_apart(data: bytes) -> tuple[str, Chunks]:
    try:
        if data.startswith(_PNG_HEAD):
            return "png", _png_chunks(data)
        if data.startswith(b"\xff\xd8\xff"):
            return "jpeg", _jpeg_chunks(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return "webp", _webp_chunks(data)
    except (struct.error, IndexError) as error:
        raise StampError("this image ends too early", "unreadable_image") from error
    raise StampError("XMP is written into PNG, JPEG and WebP only", "unsupported_format")


def _is_xmp(kind: str, name: bytes, body: bytes) -> bool:
    if kind == "png":
        return name == b"iTXt" and body.startswith(_PNG_KEY)
    return name == b"\xe1" and body.startswith(_JPEG_KEY) if kind == "jpeg" else name == b"XMP "


def _packet(kind: str, body: bytes) -> str:
    try:
        if kind == "png":
            compressed = body[len(_PNG_KEY)]
            body = body[len(_PNG_KEY) + 2 :].split(b"\0", 2)[2]
            body = zlib.decompressobj().decompress(body, _MAX) if compressed else body
        elif kind == "jpeg":
            body = body[len(_JPEG_KEY) :]
        return body[:_MAX].decode()
    except (IndexError, zlib.error, UnicodeDecodeError) as error:
        raise StampError("the XMP of this image cannot be read: remove it", "unreadable_metadata") from error


def _png_chunks(data: bytes) -> Chunks:
    chunks, place = [], len(_PNG_HEAD)
    while place < len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        if place + 12 + size > len(data):
            raise IndexError
        chunks.append((name, data[place + 8 : place + 8 + size]))
        place += 12 + size
    return chunks


def _png(chunks: Chunks, packet: bytes) -> bytes:
    chunks = [chunks[0], (b"iTXt", _PNG_KEY + b"\0\0\0\0" + packet), *chunks[1:]]
    return _PNG_HEAD + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def _jpeg_chunks(data: bytes) -> Chunks:
    """The segments before the picture by their second byte; the picture itself, with all that follows, is the last."""
    chunks, place = [], 2
    while data[place] == 0xFF and data[place + 1] != 0xDA:
        if data[place + 1] == 0xFF:  # filling
            place += 1
            continue
        [size] = struct.unpack_from(">H", data, place + 2)
        chunks.append((data[place + 1 : place + 2], data[place + 4 : place + 2 + size]))
        place += 2 + size
    return [*chunks, (b"", data[place:])]


def _jpeg(chunks: Chunks, packet: bytes) -> bytes:
    body = _JPEG_KEY + packet
    if len(body) > _JPEG_ROOM:
        raise StampError("the XMP of this image is too long for a JPEG: save it as PNG", "metadata_too_long")
    at = next(place for place, (name, one) in enumerate(chunks) if name != b"\xe0" and not one.startswith(b"Exif\0"))
    chunks = [*chunks[:at], (b"\xe1", body), *chunks[at:]]
    return b"\xff\xd8" + b"".join(
        b"\xff" + name + struct.pack(">H", len(body) + 2) + body if name else body for name, body in chunks
    )


def _webp_chunks(data: bytes) -> Chunks:
    chunks, place = [], 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        if place + 8 + size > len(data):
            raise IndexError
        chunks.append((name, data[place + 8 : place + 8 + size]))
        place += 8 + size + size % 2
    return chunks


def _webp(chunks: Chunks, packet: bytes) -> bytes:
    if not chunks or chunks[0][0] != b"VP8X":
        chunks = [(b"VP8X", _webp_header(*chunks[0])), *chunks]
    header = chunks[0][1]
    chunks = [(b"VP8X", bytes([header[0] | _WEBP_FLAG]) + header[1:]), *chunks[1:], (b"XMP ", packet)]
    body = b"WEBP" + b"".join(name + struct.pack("<I", len(one)) + one + b"\0" * (len(one) % 2) for name, one in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_header(name: bytes, body: bytes) -> bytes:
    """The extended header that a plain WebP lacks: flags and size (RFC 9649, 2.7)."""
    if name == b"VP8L":
        [bits] = struct.unpack_from("<I", body, 1)
        width, height, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1
    else:
        wide, high = struct.unpack_from("<HH", body, 6)
        width, height, alpha = (wide & 0x3FFF) - 1, (high & 0x3FFF) - 1, 0
    sizes = (width | height << 24).to_bytes(6, "little")
    return struct.pack("<I", _WEBP_ALPHA if alpha else 0) + bytes(sizes)
