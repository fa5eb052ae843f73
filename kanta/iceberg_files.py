"""Iceberg's files on this machine: pyiceberg 0.12 takes the path of a ``file://`` URI as it is written.

So it wrote beside a home whose path holds ``#`` or ``?``, and escaped it would write into a folder named ``%23``. The
lake's URIs are escaped (``lake.uri_of``) and read back here. No longer needed once pyiceberg does so itself
(``tests/night/test_lake.py`` fails then).
"""

from __future__ import annotations

from urllib.parse import unquote, urlparse

from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.typedef import EMPTY_DICT, Properties


class EscapedFiles(PyArrowFileIO):
    """pyiceberg's own, with the path behind a URI."""

    @staticmethod
    def parse_location(location: str, properties: Properties = EMPTY_DICT) -> tuple[str, str, str]:
        """Scheme, host and path of a location."""
        if location.startswith("file:"):
            return "file", "", unquote(urlparse(location).path)
        return PyArrowFileIO.parse_location(location, properties)
