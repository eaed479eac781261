"""Commands that look at a change: what their options offer is what there is."""

from __future__ import annotations

import click

from kasmgen.check import reporters
from kasmgen.cli import reviews


def test_check_offers_every_format_that_there_is() -> None:
    option = next(item for item in reviews.commands.commands["check"].params if item.name == "format_")
    assert isinstance(option.type, click.Choice)
    assert set(option.type.choices) == set(reporters.FORMATS)
