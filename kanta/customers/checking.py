"""Whether a contact can be one, and whether an attribute's value is what its definition allows."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import cache

#: What most addresses look like; one that does is good without asking the library, which takes far longer.
_PLAIN_EMAIL = re.compile(
    r"(?!.*--)[a-z0-9]+(?:[._+-][a-z0-9]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\.)+(?:com|org|net|fi|se|de|fr|uk)"
)
_LONGEST = 400  # no address or number is longer; a library should not have to find that out

#: Rule names of ops.quarantine (spec 3-customers rule 6).
UNDEFINED, WRONG_TYPE, NOT_ALLOWED, OUT_OF_RANGE = (
    "attribute_undefined", "attribute_type", "attribute_value", "attribute_range",
)  # fmt: skip


def contact(kind: str, value: str, country: str) -> tuple[str, bool]:
    """A contact's normalized form and whether it can be one at all (spec 3-customers rule 4).

    ``kind``: ``email`` or ``phone``; ``country``: where a number without its country's code is dialled, as a code or
    name. Email becomes lower case, a phone E.164; a bad one is its own text in lower case without spaces.
    """
    normalized = _email(value) if kind == "email" else _phone(value, country)
    if normalized is None:
        return re.sub(r"\s", "", value).lower(), False
    return normalized, True


def _email(value: str) -> str | None:
    text = value.strip().lower()
    if len(text) < 100 and text.index("@") < 64 if _PLAIN_EMAIL.fullmatch(text) else False:
        return text
    if len(text) > _LONGEST:
        return None
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(text, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        return None


def _phone(value: str, country: str) -> str | None:
    import phonenumbers

    if len(value) > _LONGEST:
        return None
    try:
        number = phonenumbers.parse(value, region(country) or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@cache
def region(country: str) -> str:
    """The ISO 3166 alpha-2 code of a country given by any of its codes or its name; empty when it is none."""
    if not country:
        return ""
    import pycountry

    try:
        return str(pycountry.countries.lookup(country.strip()).alpha_2)
    except LookupError:
        return ""


def attribute(
    value: str | None, kind: str | None, allowed: str | None, minimum: str | None, maximum: str | None
) -> tuple[str | None, str | None]:
    """An attribute's value as it is kept, and the rule it breaks (spec 3-customers rule 6), one of them None.

    ``kind``: the definition's type, None when there is no definition; ``value`` None clears, which is always allowed.
    """
    if kind is None:
        return None, UNDEFINED
    if value is None:
        return None, None
    kept = _typed(value, kind)
    if kept is None:
        return None, WRONG_TYPE
    if allowed and kept not in {_typed(choice, kind) for choice in allowed.split("|")}:
        return None, NOT_ALLOWED
    if kind in ("integer", "decimal"):
        low, high = _number(minimum), _number(maximum)
        number = Decimal(kept)
        if (low is not None and number < low) or (high is not None and number > high):
            return None, OUT_OF_RANGE
    return kept, None


def _typed(value: str, kind: str) -> str | None:
    text = value.strip()
    if kind == "text":
        return value
    if kind == "boolean":
        return text.lower() if text.lower() in ("true", "false") else None
    pattern = r"[+-]?[0-9]{1,30}" if kind == "integer" else r"[+-]?([0-9]{1,30}(\.[0-9]{0,20})?|\.[0-9]{1,20})"
    if not re.fullmatch(pattern, text):
        return None
    return str(int(text)) if kind == "integer" else format(Decimal(text).normalize(), "f")


def _number(text: str | None) -> Decimal | None:
    """A bound of a definition; one that is no number bounds nothing."""
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        return None
