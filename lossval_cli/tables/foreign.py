"""Files that are not tables: recognised by their first bytes, and refused with a line that says what to do."""

from __future__ import annotations

import re

from lossval_cli.errors import ReadError

_HEAD = 4096  # bytes that are looked at for a beginning

_BINARY = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook; save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the sheet as CSV"),
    (b"SQLite format 3", "an SQLite database; export the table as CSV"),
    (b"\x89HDF", "an HDF5 file; save the table as CSV or Parquet"),
    (b"FEA1", "a Feather file of version 1; save it as Feather 2 (Arrow) or Parquet"),
    (b"ORC", "an ORC file; save it as Parquet"),
    (b"Obj\x01", "an Avro file; save it as Parquet"),
    (b"\x93NUMPY", "a NumPy array; save it as CSV or Parquet with column names"),
    (b"\x80\x04\x95", "a Python pickle, which is never loaded; save the table as CSV or Parquet"),
    (b"\x80\x05\x95", "a Python pickle, which is never loaded; save the table as CSV or Parquet"),
    (b"$FL2", "an SPSS file; save it as CSV"),
    (b"<stata_dta>", "a Stata file; save it as CSV"),
    (b"\0" * 12 + b"\xc2\xea\x81\x60", "a SAS table; save it as CSV"),
    (b"HEADER RECORD*******LIBRARY", "a SAS transport file; save it as CSV"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file; save the table as CSV"),
    (b"PARE", "an encrypted Parquet file; save it without encryption"),
    (b"RDX", "an R data file; save it as CSV"),
    (b"\xff\xfe\0\0", "UTF-32 text; save it as UTF-8"),
    (b"\0\0\xfe\xff", "UTF-32 text; save it as UTF-8"),
    (b"\xfd7zXZ", "an xz archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"%PDF", "a PDF document; save the table as CSV"),
    (b"\x89PNG", "a PNG image, not a table"),
)

_LFS = b"version https://git-lfs.github.com/spec/"
_HTML = re.compile(rb"<(!doctype html|html|head|body|table)\b", re.IGNORECASE)
_XML = re.compile(rb"<(\?xml\b|[A-Za-z_][\w:.-]*[\s/>])")
_ARFF = re.compile(rb"(?:%[^\n]*\n|\s*\n)*@relation\s", re.IGNORECASE)
_LIBSVM = re.compile(rb"[+-]?\d+(\.\d+)?( \d+:[-+.\deE]+)+ *\r?$", re.MULTILINE)
_DICT = re.compile(rb"\[?\s*\{'[^'\n]*': ")
_MARKDOWN_RULE = re.compile(rb"\|?( *:?-+:? *\|)+( *:?-+:? *)?\|? *\r?$")
_PSQL_RULE = re.compile(rb"-+(\+-+)+\r?$")
_ALIGNED = re.compile(rb" *\S+(?: {2,}\S+)* *\r?")
_SQL = re.compile(rb"(?:--[^\n]*\n|/\*.*?\*/;?|\s|SET [^\n]*\n)*(?:CREATE TABLE|INSERT INTO|DROP TABLE)\b", re.I | re.S)
_CONFLICT = re.compile(rb"^<<<<<<< .*?^=======\r?$.*?^>>>>>>> ", re.MULTILINE | re.DOTALL)
_BACKSLASH_QUOTE = re.compile(rb'(?:^|[,;|\t])"[^"\r\n]*\\"[^,;|\t\r\n"]', re.MULTILINE)


def refuse_binary(data: bytes, name: str) -> None:
    """Raise ReadError where `data` begins as a format that is not read. `name` is fit for a message."""
    for magic, what in _BINARY:
        if data.startswith(magic):
            raise ReadError(f"{name} is {what}")
    if data[257:262] == b"ustar":
        raise ReadError(f"{name} is a tar archive; unpack it first")
    if data.startswith(_LFS):
        raise ReadError(f"{name} is a Git LFS pointer, not the table itself: fetch the table with git lfs pull")


def refuse_text(data: bytes, name: str) -> None:
    """Raise ReadError where text without a byte-order mark is plainly something other than delimited rows."""
    head = data[:_HEAD].lstrip()
    if _HTML.match(head):
        raise ReadError(f"{name} is an HTML page (a login or error page?), not a table: download the table again")
    if _XML.match(head):
        code = re.search(rb"<(?:Code|Message)>([\w ]{1,60})</", head)
        said = f" that says {code[1].decode()!r}" if code else ""
        raise ReadError(f"{name} is an XML document{said}, not a table: export the table as CSV or Parquet")
    if _ARFF.match(head):
        raise ReadError(
            f"{name} is an ARFF file: convert it, for example with scipy.io.arff.loadarff, and save it as CSV"
        )
    if _SQL.match(head):
        raise ReadError(f"{name} is a dump of SQL statements: load it into a database and export the table as CSV")
    if _DICT.match(head):
        raise ReadError(f"{name} holds Python dictionaries, not JSON: write each row with json.dumps")
    lines = head.split(b"\n", 3)
    if len(lines) > 1:
        if lines[0].lstrip().startswith(b"|") and _MARKDOWN_RULE.fullmatch(lines[1].strip()):
            raise ReadError(f"{name} is a Markdown table: save it as CSV")
        # A rule of dashes alone may be a row; one with a cross below every bar is not.
        if _PSQL_RULE.fullmatch(lines[1].strip()) and lines[0].count(b"|") == lines[1].count(b"+"):
            raise ReadError(f"{name} is printed output of a database, not CSV: export it with \\copy or --csv")
    if _LIBSVM.match(head):
        raise ReadError(f"{name} is a LIBSVM file: convert it, for example with sklearn.datasets.load_svmlight_file")
    # One byte is looked for first: that is fast.
    if b"<" in data and b"<<<<<<< " in data and (found := _CONFLICT.search(data)):
        line = data.count(b"\n", 0, found.start()) + 1
        raise ReadError(f"{name} line {line}: an unresolved merge conflict (<<<<<<<): resolve it first")
    if b"\\" in data and b'\\"' in data and (found := _BACKSLASH_QUOTE.search(data)):
        line = data.count(b"\n", 0, found.end()) + 1
        raise ReadError(
            f'{name} line {line}: a quote inside quotes is written \\", which CSV writes ""; write the file again '
            "with doubled quotes"
        )


def is_aligned(data: bytes) -> bool:
    """Return whether the first lines are columns aligned with runs of spaces."""
    lines = data[:_HEAD].split(b"\n")[:20]
    lines = [line for line in (lines if len(lines) < 20 else lines[:-1]) if line.strip()]
    if len(lines) < 3 or not all(_ALIGNED.fullmatch(line) for line in lines):
        return False
    words = {len(line.split()) for line in lines}
    return len(words) == 1 and words.pop() > 1 and any(b"  " in line.strip() for line in lines)
