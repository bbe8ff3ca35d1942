"""How long the page takes to show a channel with 100,000 messages: ``python -m tests.browser.opening``.

A node in memory stands behind the real doors; each time a browser that was never here, with nothing kept.
"""

from __future__ import annotations

from statistics import median
from typing import Final

from tests.browser.town import browser, stage

MESSAGES: Final = 100_000
TIMES: Final = 7


def main() -> None:
    with stage() as acted, browser() as chromium:
        acted.backend.channel_names.append("many")
        first = acted.say("one of many", "many")
        start = len(acted.backend.messages)
        acted.backend.messages += [
            {**first, "seq": start + n, "id": f"many-{n}", "text": f"no. {n} " + "word " * 30}
            for n in range(1, MESSAGES)
        ]
        took = []
        for _ in range(TIMES):
            context = chromium.new_context()
            page = context.new_page()
            page.goto(f"{acted.page}/#/c/many")
            page.locator("#main .msg").last.wait_for()
            took.append(page.evaluate("performance.now()"))
            context.close()
    print(f"readable after {median(took):.0f} ms (of {TIMES}: {min(took):.0f} to {max(took):.0f})")


if __name__ == "__main__":
    main()
