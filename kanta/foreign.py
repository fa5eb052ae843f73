"""How the programs of others write text: the blanks they pad it with, and the encodings of their JSON.

Rules: spec/1-interfaces.md section 3. Landing and inbox read by it, and erasure must read as they do.
"""

from __future__ import annotations

import json

#: What is no part of a value at its beginning and end: CHAR columns are padded with blanks. The separators that a
#: spool means something by (U+001C to U+001F) are none.
BLANKS = "".join(chr(code) for code in range(0x3001) if chr(code).isspace() and not 0x1C <= code <= 0x1F)

#: Ends a text file of DOS, and of the programs that still write one.
END_OF_FILE = "\x1a"


def trimmed(text: str) -> str:
    """A value without the blanks it was padded with; what is nothing then is empty."""
    return text.strip(BLANKS)


def json_text(data: bytes) -> str:
    """A JSON document as text: UTF-8, UTF-16 or UTF-32, with or without a byte-order mark or an end-of-file mark.

    Raises ``ValueError`` when it is none of these.
    """
    return data.decode(json.detect_encoding(data)).removeprefix("\ufeff").rstrip(END_OF_FILE + BLANKS)
