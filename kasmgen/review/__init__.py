"""Review: what a change does to each environment, in terms that people decide by.

changes = compare_builds(old, new)
report = group({"prod": assess(changes, Context(old, new))})
"""

from kasmgen.review.builds import apply_changes, compare_builds
from kasmgen.review.changes import FieldChange, ObjectChange, Risk, SecretChange
from kasmgen.review.grouping import FailedEnvironment, Report, ReportEntry, ReviewedEnvironment, group
from kasmgen.review.mask import known_values, masker

__all__ = [
    "FailedEnvironment",
    "FieldChange",
    "ObjectChange",
    "Report",
    "ReportEntry",
    "ReviewedEnvironment",
    "Risk",
    "SecretChange",
    "apply_changes",
    "compare_builds",
    "group",
    "known_values",
    "masker",
]
