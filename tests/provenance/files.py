"""Small files of every format that carries a credential, made here from the formats' own rules."""

from __future__ import annotations

import io
import struct
import wave
import zipfile

from PIL import Image as Pillow


def picture(form: str, side: int = 48) -> bytes:
    buffer = io.BytesIO()
    Pillow.effect_noise((side, side), 60).convert("RGB").save(buffer, form)
    return buffer.getvalue()


def wav(seconds: float = 1.0) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(range(256)) * int(seconds * 62))
    return buffer.getvalue()


def mp3(frames: int = 20) -> bytes:
    """Silence: MPEG-1 layer III, 128 kbit/s, 44.1 kHz."""
    return (b"\xff\xfb\x90\xc4" + bytes(413)) * frames


def flac() -> bytes:
    """One block of a constant (RFC 9639)."""
    size, rate = 4096, 44100
    info = struct.pack(">HH", size, size) + bytes(6)
    info += (rate << 44 | 15 << 36 | size).to_bytes(8, "big") + bytes(16)
    head = bytes([0xFF, 0xF8, 0xC9, 0x08, 0x00])
    head += bytes([_crc(head, 8, 0x07)])
    frame = head + b"\0" + struct.pack(">h", 5)
    return b"fLaC\x80" + len(info).to_bytes(3, "big") + info + frame + _crc(frame, 16, 0x8005).to_bytes(2, "big")


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    top, mask, value = 1 << (bits - 1), (1 << bits) - 1, 0
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = ((value << 1) ^ (polynomial if value & top else 0)) & mask
    return value


def bmff(brand: bytes, handler: bytes) -> bytes:
    """A film or sound of one sample (ISO/IEC 14496-12)."""
    payload = b"\x00\x01\x02" * 100
    ftyp = _box(b"ftyp", brand, struct.pack(">I", 512), brand, b"mp42")
    size = len(_moov(0, len(payload), handler))
    return ftyp + _moov(len(ftyp) + size + 8, len(payload), handler) + _box(b"mdat", payload)


def _box(name: bytes, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack(">I", 8 + len(data)) + name + data


def _moov(offset: int, size: int, handler: bytes) -> bytes:
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    head = struct.pack(">II", 1000, 1000)
    mvhd = _box(b"mvhd", bytes(12), head, struct.pack(">IH", 0x10000, 0x100), bytes(10), matrix, bytes(24), b"\0\0\0\2")
    tkhd = _box(
        b"tkhd", struct.pack(">I", 7), bytes(8), struct.pack(">IIII", 1, 0, 1000, 0), bytes(12), matrix, bytes(8)
    )
    mdhd = _box(b"mdhd", bytes(12), head, struct.pack(">HH", 0x55C4, 0))
    hdlr = _box(b"hdlr", bytes(8), handler, bytes(12), b"x\0")
    tables = [(b"stsd", ">I", (0,)), (b"stts", ">III", (1, 1, 1000)), (b"stsc", ">IIII", (1, 1, 1, 1))]
    tables += [(b"stsz", ">III", (0, 1, size)), (b"stco", ">II", (1, offset))]
    stbl = _box(b"stbl", *(_box(name, bytes(4), struct.pack(form, *numbers)) for name, form, numbers in tables))
    dref = _box(b"dref", bytes(4), struct.pack(">I", 1), _box(b"url ", struct.pack(">I", 1)))
    media = _box(b"vmhd", struct.pack(">I", 1), bytes(8)) if handler == b"vide" else _box(b"smhd", bytes(8))
    minf = _box(b"minf", media, _box(b"dinf", dref), stbl)
    return _box(b"moov", mvhd, _box(b"trak", tkhd, _box(b"mdia", mdhd, hdlr, minf)))


def pdf() -> bytes:
    """An empty page (ISO 32000)."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[3 0 R]/Count 1>>"]
    objects += [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>"]
    data, places = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(data)
    data += b"xref\n0 4\n0000000000 65535 f \n" + table
    return data + b"trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % start


def epub() -> bytes:
    """The least that a ZIP-based document holds."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("mimetype", "application/epub+zip")
        file.writestr("META-INF/container.xml", "<container/>")
    return buffer.getvalue()


FILES = {
    "image/png": lambda: picture("PNG"),
    "image/jpeg": lambda: picture("JPEG"),
    "image/webp": lambda: picture("WEBP"),
    "image/gif": lambda: picture("GIF"),
    "image/tiff": lambda: picture("TIFF"),
    "image/avif": lambda: picture("AVIF"),
    "audio/wav": wav,
    "audio/mpeg": mp3,
    "audio/flac": flac,
    "audio/mp4": lambda: bmff(b"M4A ", b"soun"),
    "video/mp4": lambda: bmff(b"isom", b"vide"),
    "video/quicktime": lambda: bmff(b"qt  ", b"vide"),
    "application/pdf": pdf,
}
