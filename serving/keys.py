"""API keys: who may call the service, where keys are configured."""

import hashlib
import hmac
from collections.abc import Iterable, Sequence


class Keys:
    """The keys of this process. They are kept as digests, and compared in a time that does not depend on what was sent."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take the configured keys; none: everybody is admitted."""
        self._digests = [_digest(key.encode()) for key in keys]

    def admit(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Return whether a request's headers hold a key: ``Authorization: Bearer KEY``, or ``X-API-Key: KEY``."""
        if not self._digests:
            return True
        sent = [_digest(key) for key in _sent_keys(headers)]
        found = False
        for digest in sent:
            for known in self._digests:  # all of them, whichever fits
                found |= hmac.compare_digest(digest, known)
        return found


def _sent_keys(headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    keys = []
    for name, value in headers:
        scheme, _, credentials = value.partition(b" ")
        if name.lower() == b"x-api-key":
            keys.append(value.strip())
        elif name.lower() == b"authorization" and scheme.lower() == b"bearer":
            keys.append(credentials.strip())
    return keys


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
