"""The annotations under `kasmgen.dev/`, which say in clear what is known of a sealed Secret."""

from __future__ import annotations

PREFIX = "kasmgen.dev/"

REVISION = f"{PREFIX}revision"
"""On a sealed Secret: that it is kasmgen's, and a digest of its sealed content."""
INPUTS = f"{PREFIX}inputs"
"""On a sealed Secret: a digest of the values that follow the chart."""
PINNED = f"{PREFIX}pinned"
"""On a sealed Secret: data keys whose value people supplied although the chart makes one of its own.

They do not follow the chart any more.
"""

NOT_BEFORE = f"{PREFIX}not-before"
NOT_AFTER = f"{PREFIX}not-after"
DNS_NAMES = f"{PREFIX}dns-names"
FINGERPRINT = f"{PREFIX}fingerprint-sha256"
ISSUED_BY = f"{PREFIX}issued-by"
CERTIFICATE = (NOT_BEFORE, NOT_AFTER, DNS_NAMES, FINGERPRINT, ISSUED_BY)
"""On a sealed Secret: the public facts about its certificate."""

SECRETS = f"{PREFIX}secrets"
"""On a pod template: a digest of the sealed Secrets that it reads. Pods roll when it changes."""
