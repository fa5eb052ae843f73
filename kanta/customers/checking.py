"""Whether a contact can be one, and whether an attribute's value is what its definition allows."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

#: What most addresses look like; one that does is good without asking the library, which takes far longer.
_PLAIN_EMAIL = re.compile(
    r"(?!.*--)[a-z0-9]+(?:[._+-][a-z0-9]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\.)+(?:com|org|net|fi|se|de|fr|uk)"
)
_PLAIN_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
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
    if looks_valid(value):
        return value
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


def looks_valid(number: str) -> bool:
    """Whether a number is written as E.164 and one of the library's patterns says already that it is valid."""
    return bool(_PLAIN_PHONE.fullmatch(number)) and any(
        (numbers := _numbers_of(number[1:end])) and numbers.fullmatch(number, end) for end in (2, 3, 4)
    )


@cache
def _numbers_of(code: str) -> re.Pattern[str] | None:
    """What valid numbers of a calling code's main country look like behind it; None when there is no such country.

    The library's own patterns in one. Numbers it may change, or hold to be of another country, do not match.
    """
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    plan = PhoneMetadata.metadata_for_region(COUNTRY_CODE_TO_REGION_CODE.get(int(code), ("",))[0], None)
    if plan is None:
        return None

    def of(kind: Any) -> str:
        length = "|".join(f".{{{n}}}" for n in kind.possible_length) or ".*"
        return rf"(?=(?:{length})\Z)(?:{kind.national_number_pattern})\Z"

    kinds = (
        plan.premium_rate, plan.toll_free, plan.shared_cost, plan.voip, plan.personal_number, plan.pager, plan.uan,
        plan.voicemail, plan.fixed_line, plan.mobile,
    )  # fmt: skip
    prefix = rf"(?!0|{plan.national_prefix_for_parsing or '0'})"
    alternatives = "|".join(f"(?:{of(kind)})" for kind in kinds if kind and kind.national_number_pattern)
    return re.compile(rf"{prefix}(?={plan.leading_digits or ''})(?={of(plan.general_desc)})(?:{alternatives})")


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
