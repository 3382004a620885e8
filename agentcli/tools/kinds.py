"""What a file is by its first bytes: an image with its dimensions, or a kind of binary. Pure; for messages only."""

from __future__ import annotations

import struct

IMAGES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"8BPS", "Photoshop"),
)
BINARIES: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "ELF program or library"),
    (b"\xcf\xfa\xed\xfe", "Mach-O program or library"),
    (b"\xca\xfe\xba\xbe", "Java class or Mach-O file"),
    (b"MZ", "Windows program or library"),
    (b"\x00asm", "WebAssembly module"),
    (b"%PDF-", "PDF document"),
    (b"PK\x03\x04", "zip archive (also jar, docx, xlsx, wheel)"),
    (b"PK\x05\x06", "empty zip archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (b"SQLite format 3\x00", "SQLite database"),
    (b"GGUF", "GGUF model weights"),
    (b"\x93NUMPY", "NumPy array"),
    (b"PAR1", "Parquet table"),
    (b"\x89HDF\r\n\x1a\n", "HDF5 file"),
    (b"wOFF", "WOFF font"),
    (b"wOF2", "WOFF2 font"),
    (b"OggS", "Ogg media"),
    (b"ID3", "MP3 audio"),
    (b"fLaC", "FLAC audio"),
    (b"!<arch>\n", "ar archive or static library"),
)


def image_kind(head: bytes) -> str:
    """`PNG, 640x480` where `head` starts an image, else "". Dimensions only where the first bytes tell them."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"heic", b"heix", b"mif1"):
        return "AVIF" if head[8:12] == b"avif" else "HEIC"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "BMP"
    name = next((name for magic, name in IMAGES if head.startswith(magic)), "")
    if name == "PNG" and len(head) >= 24:
        return "PNG, {}x{}".format(*struct.unpack(">II", head[16:24]))
    if name == "GIF" and len(head) >= 10:
        return "GIF, {}x{}".format(*struct.unpack("<HH", head[6:10]))
    return name


def binary_kind(head: bytes) -> str:
    """A few words for a file that is no text."""
    if head[4:8] == b"ftyp":
        return "MP4 or similar media"
    if head[:4] == b"RIFF":
        return "RIFF media (WAV, AVI)"
    if head[257:262] == b"ustar":
        return "tar archive"
    if len(head) > 3 and 0 not in head[0::2] and head[1::2].count(0) * 10 > len(head[1::2]) * 9:
        return "UTF-16 text without a byte order mark"
    return next((name for magic, name in BINARIES if head.startswith(magic)), "binary data")
