"""Landing: from what stores, call centers and headquarters drop to typed, accepted rows.

``take`` reads new drops and gives back Parquet files of accepted rows, and in small tables the drops, what was
refused and why, and what was odd. It never writes to the lake. ``missing_days`` says which store-days did not come,
``release`` puts refused rows through again, corrected. Rules: spec 1-interfaces section 3 and schemas/landing.
"""

from kanta.landing.days import MissingDay, missing_days
from kanta.landing.drops import Known
from kanta.landing.intake import DROPS, QUARANTINE, WARNINGS, Intake, take
from kanta.landing.release import release

__all__ = ["DROPS", "QUARANTINE", "WARNINGS", "Intake", "Known", "MissingDay", "missing_days", "release", "take"]
