"""For schemathesis: whoever asks to wait waits no longer than a moment, or a run would do little else."""

from __future__ import annotations

from typing import Any, Final

import schemathesis

MOMENT_S: Final = 0.05


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    for place in (case.query, case.body):
        if isinstance(place, dict):
            for name in ("wait", "timeout"):
                if _is_long(place.get(name)):
                    place[name] = MOMENT_S


def _is_long(value: object) -> bool:
    """A number of seconds that would be waited for; what is none stays as it is, to be refused."""
    try:
        return type(value) in (int, float, str) and MOMENT_S < float(value) <= 3600  # type: ignore[arg-type]
    except ValueError:
        return False
