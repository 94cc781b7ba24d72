"""The encoding of a text table: UTF-8, UTF-16, or else one byte a letter; what was taken is said."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from lossval_cli.errors import ReadError

_BLOCK_BYTES = 4 << 20
_LETTERS = re.compile(rb"[\xc3-\xf4][\x80-\xbf]")
"""How a letter of two bytes or more begins in UTF-8; hardly ever two neighbouring letters of another encoding."""
_HIGH = re.compile(rb"[\x80-\xff]")
_FEW_BYTES = 1 << 16


@dataclass(frozen=True)
class Decoded:
    """Text whose line breaks, quotes and delimiters are single ASCII bytes.

    data: the bytes without byte-order mark.  codec: of `data`.  stored: the codec of the file, where that is another.
    mark: the byte-order mark of the file.
    """

    data: bytes
    codec: str = "utf-8"
    stored: str | None = None
    mark: bytes = b""
    notices: tuple[str, ...] = ()

    def encode(self, piece: bytes | memoryview) -> bytes | memoryview:
        """A piece of `data` as the file has it."""
        return piece if self.stored is None else bytes(piece).decode(self.codec).encode(self.stored)


def decode_text(data: bytes, name: str, encoding: str | None = None) -> Decoded:
    """Text of known encoding, or ReadError with line and byte. `name` is fit for a message.

    encoding: as the user gives it. Without one a byte-order mark decides, then zero bytes in every other byte
    (UTF-16), then whether the bytes are UTF-8. Bytes that are no UTF-8 at all are read as Windows-1252.
    """
    if encoding is not None:
        return _decode_as(data, name, encoding)
    for mark, codec in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(mark):
            return _recode(data[2:], name, codec, mark)
    mark = b""
    while data.startswith(codecs.BOM_UTF8, len(mark)):
        mark += codecs.BOM_UTF8
    data = data[len(mark) :] if mark else data
    if (nul := data.find(b"\0")) >= 0:
        wide = _without_mark(data)
        if wide is None:
            raise ReadError(f"{name} is not text: it holds a zero byte at byte {nul}; save it as UTF-8 CSV")
        return _recode(data, name, wide, b"")
    fault = _first_fault(data)
    if fault is None:
        return Decoded(data, mark=mark)
    if mark or fault >= len(data) - 3 or _is_mostly_utf8(data[fault : fault + _FEW_BYTES], data[:fault][-_FEW_BYTES:]):
        raise _not_utf8(data, fault, name)
    single = "latin-1" if any(byte in data for byte in b"\x81\x8d\x8f\x90\x9d") else "cp1252"
    called = "Latin-1" if single == "latin-1" else "Windows-1252"
    notice = f"not UTF-8 (line {_line(data, fault)}), so it is read as {called}; --encoding names another encoding"
    return Decoded(data, single, notices=(notice,))


def _decode_as(data: bytes, name: str, encoding: str) -> Decoded:
    try:
        codec = codecs.lookup(encoding).name
        is_ascii = 'a,b\n";'.encode(codec) == b'a,b\n";' and codecs.lookup(encoding)._is_text_encoding
    except (LookupError, UnicodeError, TypeError, ValueError, AttributeError):
        raise ReadError(
            f"--encoding {encoding}: unknown; give a name such as utf-8, cp1252, cp1251 or shift_jis"
        ) from None
    if codec in ("utf-8", "utf-8-sig"):
        mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
        data = data.removeprefix(mark)
        if (fault := _first_fault(data)) is not None:
            raise _not_utf8(data, fault, name)
        return Decoded(data, mark=mark)
    if codec.startswith("utf-16"):
        mark = next((bom for bom in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) if data.startswith(bom)), b"")
        if codec == "utf-16":
            codec = "utf-16-be" if mark == codecs.BOM_UTF16_BE else "utf-16-le"
        return _recode(data[len(mark) :], name, codec, mark, say=False)
    single = is_ascii and codecs.lookup(codec).name.startswith(
        ("cp12", "cp8", "iso8859", "koi8", "mac", "latin", "ascii")
    )
    if single:
        try:
            data.decode(codec)
        except UnicodeDecodeError as error:
            raise _undecodable(data, name, codec, error) from None
        return Decoded(data, codec)
    return _recode(data, name, codec, b"", say=False)


def _recode(data: bytes, name: str, codec: str, mark: bytes, *, say: bool = True) -> Decoded:
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        raise _undecodable(data, name, codec, error) from None
    notices = (f"read as {'UTF-16' if codec.startswith('utf-16') else codec}",) if say else ()
    return Decoded(text.encode(), stored=codec, mark=mark, notices=notices)


def _undecodable(data: bytes, name: str, codec: str, error: UnicodeDecodeError) -> ReadError:
    return ReadError(
        f"{name}: byte 0x{data[error.start]:02x} (offset {error.start}) is not {codec.upper()} text; "
        "name its encoding with --encoding, or save it as UTF-8"
    )


def _without_mark(data: bytes) -> str | None:
    """UTF-16 without a byte-order mark: nearly every other byte is zero, and no other."""
    head = data[:_FEW_BYTES]
    even, odd = head[0::2], head[1::2]
    if not odd or len(data) % 2:
        return None
    for zeros, others, codec in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros.count(0) > 0.7 * len(zeros) and others.count(0) == 0:
            return codec
    return None


def _is_mostly_utf8(*pieces: bytes) -> bool:
    """Whether most letters outside ASCII are UTF-8: then one of them is damaged."""
    letters = sum(len(_LETTERS.findall(piece)) for piece in pieces)
    high = sum(len(_HIGH.findall(piece)) for piece in pieces)
    return letters > high / 4


def _first_fault(data: bytes) -> int | None:
    """Offset of the first byte that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), _BLOCK_BYTES):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + _BLOCK_BYTES], final=start + _BLOCK_BYTES >= len(data))
        except UnicodeDecodeError as error:
            return start - pending + error.start
    return None


def _not_utf8(data: bytes, offset: int, name: str) -> ReadError:
    return ReadError(
        f"{name} line {_line(data, offset)}: byte 0x{data[offset]:02x} (offset {offset}) is not UTF-8, which the rest "
        "is; fix it, or name another encoding with --encoding"
    )


def _line(data: bytes, offset: int) -> int:
    before = data[:offset]
    return before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n") + 1
