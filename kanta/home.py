"""The home directory: programme, landing, lake, outbox, inbox, reports (spec: 1-interfaces.md section 2)."""

from __future__ import annotations

import grp
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kanta.errors import KantaError

if TYPE_CHECKING:
    from kanta.programme import Settings

REPOSITORY = Path(__file__).parent.parent

#: The umask of every process that works on a home: what it writes is for its user alone.
PRIVATE = 0o077


@dataclass(frozen=True)
class Home:
    """Where one retailer's pipeline lives. Paths are local unless ``programme/settings.yaml`` says otherwise."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """``KANTA_HOME``, else ``data/`` in the repository."""
        return cls(Path(os.environ.get("KANTA_HOME") or REPOSITORY / "data").resolve())

    def make_private(self) -> None:
        """Makes the home, or makes one that was open to others its owner's alone; so is what the process writes in it.

        With a group for packages (settings.yaml) its members may pass through the home, and list nothing in it. A home
        of another user stays as it is.
        """
        os.umask(PRIVATE)
        wanted = 0o700 if self.group is None else 0o710
        with suppress(OSError):
            self.root.mkdir(parents=True, exist_ok=True)
            status = self.root.stat()
            if status.st_uid == os.geteuid() and (status.st_mode & PRIVATE & ~wanted or self.group is not None):
                if self.group is not None:
                    os.chown(self.root, -1, self.group)
                self.root.chmod(wanted)

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
