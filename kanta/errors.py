"""The few errors a user can meet; each says what, where, and what to do next."""

from __future__ import annotations


class KantaError(Exception):
    """The work failed (exit code 1).

    ``what`` happened, ``where`` (file, line, key, table), ``next_step``: the command or action that helps.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", next_step: str = "") -> None:
        self.what, self.where, self.next_step = what, where, next_step
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """The message as printed: what, then where, then the next step."""
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.next_step:
            lines.append(f"  next:  {self.next_step}")
        return lines


class BadArguments(KantaError):
    """The command line cannot be carried out as given (exit code 2)."""

    exit_code = 2


class BadProgramme(KantaError):
    """The programme does not validate (exit code 2); ``problems`` holds every one of them."""

    exit_code = 2

    def __init__(self, problems: list[str], *, where: str = "", next_step: str = "") -> None:
        self.problems = problems
        what = f"The programme has {len(problems)} problem{'s' if len(problems) != 1 else ''}; nothing was run."
        super().__init__("\n".join([what, *(f"  {problem}" for problem in problems)]), where=where, next_step=next_step)


class CheckFailed(KantaError):
    """A critical check on tonight's tables failed, so the night was not published (exit code 1)."""


class Busy(KantaError):
    """Another process is writing this home's lake (exit code 1)."""
