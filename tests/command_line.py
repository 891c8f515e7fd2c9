"""What a command left behind, and the form that every refusal has."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

# who: must; found what[, first at where]. And a line that helps.
FORM = re.compile(r"error: (?P<who>[^\n]+?): (?P<must>[^\n]+); found (?P<found>[^\n]+)\.\n  (?P<help>\S.*)", re.DOTALL)


class Answer(NamedTuple):
    """Exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str

    def refusal(self) -> dict[str, str]:
        """The parts of the message; fails where it has not the form."""
        found = FORM.match(self.err)
        assert found, self.err
        assert "Traceback" not in self.err
        return found.groupdict()


Daybar = Callable[..., Answer]
