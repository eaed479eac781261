"""Review: what a change does to each environment, in terms that people decide by.

changes = compare_builds(old, new)
report = group({"prod": assess(changes, Context(old, new))})
"""

from kasmgen.steps.review.changes import FieldChange, ObjectChange, Risk, SecretChange
from kasmgen.steps.review.compare import apply_changes, compare_builds
from kasmgen.steps.review.group import Entry, Environment, Report, group
from kasmgen.steps.review.guard import known_values, masker

__all__ = [
    "Entry",
    "Environment",
    "FieldChange",
    "ObjectChange",
    "Report",
    "Risk",
    "SecretChange",
    "apply_changes",
    "compare_builds",
    "group",
    "known_values",
    "masker",
]
