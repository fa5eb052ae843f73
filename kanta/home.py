"""The home directory: programme, landing, lake, outbox, inbox, reports (spec: 1-interfaces.md section 2)."""

from __future__ import annotations

import grp
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kanta.errors import KantaError

if TYPE_CHECKING:
    from kanta.programme import Settings

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Home:
    """Where one retailer's pipeline lives. Paths are local unless ``programme/settings.yaml`` says otherwise."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """``KANTA_HOME``, else ``data/`` in the repository."""
        return cls(Path(os.environ.get("KANTA_HOME") or REPOSITORY / "data").resolve())

    @property
    def programme(self) -> Path:
        return self.root / "programme"

    @cached_property
    def settings(self) -> Settings:
        """``programme/settings.yaml``; its defaults when there is none. Raises BadProgramme."""
        from kanta import programme

        return programme.load_settings(self.programme)

    @property
    def landing(self) -> Path:
        return self.root / self.settings.landing

    @property
    def lake(self) -> Path:
        return self.root / self.settings.lake

    @property
    def outbox(self) -> Path:
        """Where packages go, when that is a local folder; ``distribution.transport`` reaches any place."""
        return self.root / self.settings.outbox

    @property
    def inbox(self) -> Path:
        return self.root / self.settings.inbox

    @cached_property
    def group(self) -> int | None:
        """The system's number of the group that may read the stores' packages (settings.yaml); None: not said."""
        name = self.settings.outbox_group
        try:
            return grp.getgrnam(name).gr_gid if name else None
        except KeyError:
            raise KantaError(
                f"There is no group {name} on this machine",
                where=f"{self.programme / 'settings.yaml'}, outbox_group",
                next_step="make it (groupadd), or name another",
            ) from None

    @property
    def reports(self) -> Path:
        return self.root / "reports"
