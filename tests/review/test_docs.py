"""What the pages on review promise is what the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kasmgen.review.risks import TITLES
from kasmgen.yaml import documents

ROOT = Path(__file__).parents[2]


def test_every_risk_is_explained() -> None:
    page = (ROOT / "docs/review.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (?!Risk|---)([^|]+) \| ", page, re.MULTILINE) == list(TITLES.values())


def test_the_hooks_in_the_page_are_those_that_kasmgen_offers() -> None:
    page = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    block = next(text for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "hooks:" in text)
    offered: Any = documents.load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    shown: Any = documents.load(block)

    def told(hook: dict[str, Any]) -> dict[str, Any]:
        return {key: hook[key] for key in hook if key not in ("language", "description", "additional_dependencies")}

    assert [told(hook) for hook in shown["repos"][0]["hooks"]] == [told(hook) for hook in offered]
    assert {hook["language"] for hook in shown["repos"][0]["hooks"]} == {"system"}
