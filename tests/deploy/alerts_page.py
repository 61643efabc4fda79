"""The tables of alerts in docs/monitoring.md, made from the rules: ``python -m tests.deploy.alerts_page --write``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.support_prometheus import RULES, Rule, alerts

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"

_HEAD = "| alert | severity | what happened | what to do |\n|---|---|---|---|\n"
_MARK = re.compile(r"(<!-- alerts -->\n).*?(<!-- /alerts -->)", re.DOTALL)


def tables() -> str:
    """Return a table for each file of rules, under the sentence that the file begins with."""
    text = ""
    for file in sorted({rule.file for rule in alerts()}):
        about = " ".join((RULES / file).read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").split())
        rows = "".join(_row(rule) for rule in alerts() if rule.file == file)
        text += f"**rules/{file}**: {about}\n\n{_HEAD}{rows}\n"
    return text


def filled() -> str:
    """Return the page with the tables as they should be."""
    return _MARK.sub(lambda found: found[1] + tables() + found[2], PAGE.read_text(encoding="utf-8"))


def _row(rule: Rule) -> str:
    what = _plain(rule.annotations["summary"].removeprefix("{{ $labels.line }}: "))
    remedy = _plain(rule.annotations["remedy"])
    cells = (f"`{rule.name}`", rule.labels["severity"], what[0].upper() + what[1:], remedy)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _plain(text: str) -> str:
    """Return a text with a word in place of what Prometheus fills in."""
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"*\1*", text)
    return re.sub(r"\{\{ \$value[^}]*\}\}", "*so many*", text)


if __name__ == "__main__" and "--write" in sys.argv[1:]:
    PAGE.write_text(filled(), encoding="utf-8")
