"""Review: what a change does to each environment, in terms that people decide by.

changes = compare_builds(old, new)
report = group({"prod": assess(changes, Context(old, new))}, ...)
"""
