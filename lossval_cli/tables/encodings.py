"""The encoding of a text table: UTF-8, UTF-16, or else the encoding that its letters suggest; a notice names it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from lossval_cli.errors import ReadError
from lossval_cli.text.format import quote

_BLOCK_BYTES = 4 << 20
_LETTERS = re.compile(rb"[\xc3-\xf4][\x80-\xbf]")
"""How a letter of two bytes or more begins in UTF-8; hardly ever two neighbouring letters of another encoding."""
_HIGH = re.compile(rb"[\x80-\xff]")
_FEW_BYTES = 1 << 16
_FOREIGN_CELLS = re.compile(rb"[^,;\t\r\n]*[\x80-\xff][^,;\t\r\n]*")
"""Cells with letters outside ASCII."""
_MOST_CELLS = 2000

_STORED_BY_PROGRAMS = (
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("koi8-r", "koi8-u", "gb18030", "big5", "cp932", "euc-jp", "cp949"),
)
"""What spreadsheets and databases write besides UTF-8."""
_OF_PAIRS = ("gb18030", "big5", "big5hkscs", "cp932", "euc-jp", "cp949")
_SURE = 0.1
"""chardet's confidence above which its answer was right for lists of words in 13 languages, and for a few words that
are French, German or Spanish never another alphabet's (it says at most .07 of those)."""


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


def decode_text(data: bytes, name: str, encoding: str | None) -> Decoded:
    """Text of known encoding, or ReadError with line and byte. `name` is fit for a message.

    encoding: as the user gives it. Without one a byte-order mark decides, then zero bytes in every other byte
    (UTF-16), then whether the bytes are UTF-8. Bytes that are no UTF-8 at all are read as the encoding that their
    letters look like, or else as Windows-1252.
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
    codec = _likely_encoding(data) or _western(data)
    read_as = f"read as {_called(codec)} ({_sample(data, fault, codec)})"
    notice = f"not UTF-8 (line {_line(data, fault)}), so it is {read_as}; --encoding names another encoding"
    if _is_single_byte(codec):
        return Decoded(data, codec, notices=(notice,))
    return Decoded(data.decode(codec).encode(), stored=codec, notices=(notice,))


def _likely_encoding(data: bytes) -> str | None:
    """The encoding that the letters outside ASCII look like; None where they do not tell, or where data are not."""
    import chardet  # 60 ms

    cells = dict.fromkeys(cell.group() for cell in islice(_FOREIGN_CELLS.finditer(data), _MOST_CELLS))
    answer = chardet.detect(
        b"\n".join(cells), prefer_superset=True, compat_names=False, include_encodings=_STORED_BY_PROGRAMS
    )
    codec = answer["encoding"]
    if codec is None or (answer["confidence"] <= _SURE and not (codec in _OF_PAIRS and _come_together(cells))):
        return None
    try:
        return codec if data.decode(codec).encode(codec) == data else None
    except UnicodeError:
        return None


def _come_together(cells: Iterable[bytes]) -> bool:
    """Return whether bytes outside ASCII have such neighbours, as those of Chinese, Japanese and Korean do; accents of
    Western words have not."""
    runs = [len(run) for cell in cells for run in re.findall(rb"[\x80-\xff]+", cell)]
    return sum(run for run in runs if run > 1) >= 0.8 * sum(runs)


def _western(data: bytes) -> str:
    """Windows-1252, or Latin-1 where there are bytes that it leaves undefined."""
    return "latin-1" if any(byte in data for byte in b"\x81\x8d\x8f\x90\x9d") else "cp1252"


def _called(codec: str) -> str:
    return {"latin-1": "Latin-1", "cp874": "Windows-874"}.get(codec, re.sub("^CP125", "Windows-125", codec.upper()))


def _sample(data: bytes, fault: int, codec: str) -> str:
    """The first cell that shows the encoding, for a message."""
    cell = next((cell for cell in _FOREIGN_CELLS.finditer(data) if cell.end() > fault), None)
    return quote(cell.group().decode(codec, "replace").strip('" ') if cell else "")


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
    if is_ascii and _is_single_byte(codec):
        try:
            data.decode(codec)
        except UnicodeDecodeError as error:
            raise _undecodable(data, name, codec, error) from None
        return Decoded(data, codec)
    return _recode(data, name, codec, b"", say=False)


def _is_single_byte(codec: str) -> bool:
    return codecs.lookup(codec).name.startswith(("cp12", "cp8", "iso8859", "koi8", "mac", "latin", "ascii"))


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
    """Return whether most letters outside ASCII are UTF-8: then one of them is damaged."""
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
