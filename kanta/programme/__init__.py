"""The programme: the business rules a retailer writes in ``programme/*.yaml``.

``load`` reads a folder or says everything that is wrong with it; ``versions`` says which programme judges which day;
``kanta.programme.relations`` makes both readable to SQL models as ``programme.<relation>``.
"""

from kanta.programme.loading import exists, load, load_settings, write_schemas
from kanta.programme.model import Programme, Settings, canonical, from_canonical, json_schema
from kanta.programme.rules import HqNames, check_against_hq, warnings
from kanta.programme.versions import Span, Version, in_force, spans, versions

__all__ = [
    "HqNames",
    "Programme",
    "Settings",
    "Span",
    "Version",
    "canonical",
    "check_against_hq",
    "exists",
    "from_canonical",
    "in_force",
    "json_schema",
    "load",
    "load_settings",
    "spans",
    "versions",
    "warnings",
    "write_schemas",
]
