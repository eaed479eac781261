"""The charts that kasmgen knows, and the profile of each."""

from __future__ import annotations

from collections.abc import Sequence

from kasmgen.chart.profiles.generic import Lifted as Lifted
from kasmgen.chart.profiles.generic import Profile as Profile
from kasmgen.chart.profiles.generic import check_same as check_same
from kasmgen.chart.profiles.kasm_single_zone import KasmSingleZone
from kasmgen.kubernetes.resources import Chart


def for_chart(chart: Chart) -> Profile:
    """The profile of this chart, by its name."""
    known: Sequence[Profile] = (KasmSingleZone(),)
    return next((profile for profile in known if chart.name in profile.chart_names), Profile())
