"""The charts that kasmgen knows, and the profile of each."""

from __future__ import annotations

from collections.abc import Sequence

from kasmgen.kubernetes.resources import Chart
from kasmgen.steps.kasm import KasmSingleZone
from kasmgen.steps.plainchart import Lifted as Lifted
from kasmgen.steps.plainchart import Profile as Profile
from kasmgen.steps.plainchart import check_same as check_same


def for_chart(chart: Chart) -> Profile:
    """The profile of this chart, by its name."""
    known: Sequence[Profile] = (KasmSingleZone(),)
    return next((profile for profile in known if chart.name in profile.chart_names), Profile())
