"""The keys in force: the file is looked at before each request and read again when it changed, so that a revoked key ends at once."""

import hmac
import logging
from pathlib import Path

from adapters.errors import BadInput, Unauthorized, Unavailable
from service.allowance import Allowance
from service.caller import Caller
from service.keyfile import Key, digest_of, id_of, read_keys

log = logging.getLogger("patchbay")
_SCHEME = "bearer "
_RETRY_UNREADABLE = 5.0
_NO_DIGEST = digest_of("")
_Stamp = tuple[int, int, int, int] | None


class Keyring:
    """Finds the caller by the key. A file that cannot be read lets nobody in: a revocation in it must not be missed."""

    def __init__(self, path: Path) -> None:
        """Raises BadInput when the file cannot be used from the start."""
        self._path = path
        self._stamp = self._look()
        self._known: dict[str, tuple[str, Caller]] = {}
        self._readable = True
        self._take(read_keys(path))
        if not self._known:
            log.warning("%s holds no key: nobody can call; patchbay keys add NAME --keys %s", path, path)

    def caller(self, authorization: str | None) -> Caller:
        """Who has this key; the header's text as it came.

        Raises:
            Unauthorized: no key, or one that is not in the file.
            Unavailable: the file cannot be read.
        """
        self._refresh()
        if authorization is None or not authorization.lower().startswith(_SCHEME):
            raise Unauthorized("no key came; send the header Authorization: Bearer <key>")
        text = authorization[len(_SCHEME) :].strip()
        digest, found = self._known.get(id_of(text), (_NO_DIGEST, None))
        if not hmac.compare_digest(digest, digest_of(text)) or found is None:
            raise Unauthorized("this key is not known here; it may have been revoked")
        return found

    def _look(self) -> _Stamp:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size

    def _refresh(self) -> None:
        # Looked at before it is read: a change in between is seen the next time.
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._take(read_keys(self._path))
                self._readable = True
                log.info("keys read again: %d", len(self._known))
            except BadInput as error:
                self._readable = False
                log.error("nobody is let in until the keys file is right again: %s", error.message)
        if not self._readable:
            raise Unavailable("the keys cannot be read; the service's log says why", retry_after=_RETRY_UNREADABLE)

    def _take(self, keys: tuple[Key, ...]) -> None:
        before = {key_id: found for key_id, (_, found) in self._known.items()}
        self._known = {key.id: (key.digest, _caller(key, before.get(key.id))) for key in keys}


def _caller(key: Key, before: Caller | None) -> Caller:
    """What the key has used up of its limits is not forgotten when another key changes."""
    limits = (key.requests_per_minute, key.tokens_per_minute)
    allowance = before.allowance if before is not None else None
    if allowance is None or allowance.limits != limits:
        allowance = Allowance(*limits) if any(limits) else None
    return Caller(key.name, key.role == "admin", key.adapters, allowance)
