"""What changes about Secrets: sealing, who can read them, what certificates cover."""

from __future__ import annotations

from collections.abc import Iterator

from kasmgen.kubernetes.fields import short
from kasmgen.review.changes import ChangedObject, ObjectChange, RemovedObject, Risk
from kasmgen.review.mask import is_sealed


def secrets(change: ObjectChange) -> Iterator[Risk]:
    """Secrets in clear, other recipients, certificates that cover less."""
    secret = change.secret
    if secret is None or isinstance(change, RemovedObject):
        return
    if not secret.sealed and any(state != "removed" for _, state in secret.keys):
        was = "not sealed any more" if is_sealed(change.old) else "not sealed"
        yield Risk("secret-in-clear", "error", f"it is {was}: its values stand in the repository for everyone to read")
    if isinstance(change, ChangedObject) and secret.recipients_added:
        yield Risk("other-recipients", "warning", f"{short(list(secret.recipients_added))} can decrypt it from now on")
    if isinstance(change, ChangedObject) and secret.recipients_removed:
        words = f"{short(list(secret.recipients_removed))} cannot decrypt it any more, but may know its values"
        yield Risk("other-recipients", "info", words)
    yield from _certificate(change)


def _certificate(change: ObjectChange) -> Iterator[Risk]:
    old, new = (change.secret.certificate_old, change.secret.certificate_new) if change.secret else (None, None)
    if old is None or new is None or old == new:
        return
    if lost := [name for name in old.names if name not in new.names]:
        yield Risk("certificate", "warning", f"the certificate does not cover {short(lost)} any more")
    # RFC 3339 in UTC: the order of the texts is that of the times.
    if new.not_after and old.not_after and new.not_after < old.not_after:
        yield Risk("certificate", "warning", f"the certificate ends earlier: {new.not_after}, before {old.not_after}")
