"""The one tree of errors that Patchbay raises on purpose.

    PatchbayError
    |- BadInput            what was given cannot be used as it is
    |  `- PortInUse
    |- Unauthorized        no key, or a key nobody knows
    |- Forbidden           a known key that may not do this
    |- NotFound
    |- Conflict            it does not fit what is there now
    |- TooLarge
    |- AdapterRefused      with every problem that was found
    |- Busy                try again in `retry_after` seconds: too much at once
    |- Unavailable         try again in `retry_after` seconds: not ready
    |- TimedOut            it took longer than it may
    `- StorageFull

Foreign errors become one of these at the edge where they first appear; a message names the value it
got and the way out.
"""

import reprlib
from dataclasses import dataclass
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


class PatchbayError(Exception):
    """Any error with a message meant for a person; `param` names the input at fault, `code` is stable for programs."""

    code = "error"

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or type(self).code


class BadInput(PatchbayError):
    """What was given cannot be used as it is."""

    code = "invalid_value"


class PortInUse(BadInput):
    """Another program listens there already."""

    code = "port_in_use"


class Unauthorized(PatchbayError):
    """No key came, or one that nobody knows."""

    code = "invalid_api_key"


class Forbidden(PatchbayError):
    """The key is known and may not do this."""

    code = "forbidden"


class NotFound(PatchbayError):
    """There is nothing of that name."""

    code = "not_found"


class Conflict(PatchbayError):
    """It does not fit what is there now."""

    code = "conflict"


class TooLarge(PatchbayError):
    """More bytes than are taken."""

    code = "too_large"


class StorageFull(PatchbayError):
    """The disk has no room left."""

    code = "storage_full"


def printable(text: str, most: int) -> str:
    """At most `most` characters of a text, those escaped that are not printable (control characters, halves of pairs)."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in short)


def shown(value: Any) -> str:
    """A value of JSON as a message shows it: short, however large or deep it is."""
    return printable(_SHORT.repr(value), 80)


# Every code a Problem has, and that of an upload that is too large: what metrics count refusals by. Tests hold it complete.
REASONS = (
    "bad_alpha", "bad_config", "bad_json", "bad_pattern", "bad_probes", "bad_rank", "bad_run", "bad_safetensors", "base_mismatch",
    "base_weights", "damaged_archive", "duplicate_file", "empty_archive", "engine_refused", "file_not_allowed", "file_too_large",
    "missing_file", "missing_tensor", "no_effect", "no_tensors", "not_a_plain_file", "not_finite", "not_what_it_says", "path_escapes",
    "probe_mismatch", "rank_too_large", "several_folders", "template_mismatch", "too_large", "unexpected_tensor", "unknown_module", "unsupported_feature",
    "unsupported_peft_type", "unsupported_task", "untargeted_module", "unverified", "wrong_dtype", "wrong_kind", "wrong_shape",
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """One reason to refuse an adapter: a stable code, a sentence, and where it was found (a file or a tensor)."""

    code: str
    message: str
    where: str | None = None

    def __post_init__(self) -> None:
        """What a stranger named is shown on one line, as text that any terminal and any encoding takes."""
        object.__setattr__(self, "message", printable(self.message, 1000))
        if self.where is not None:
            object.__setattr__(self, "where", printable(self.where, 200))


class AdapterRefused(PatchbayError):
    """An adapter that may not be served, with every problem found, not only the first."""

    code = "adapter_refused"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        listed = "; ".join(f"{p.where}: {p.message}" if p.where else p.message for p in problems)
        super().__init__(f"the adapter was refused for {len(problems)} reason(s): {listed}")
        self.problems = problems


class Busy(PatchbayError):
    """Too much at once; the same call may be made again after `retry_after` seconds."""

    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after: float, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.retry_after = retry_after


class TimedOut(PatchbayError):
    """It took longer than it may, and was ended."""

    code = "timeout"


class Unavailable(PatchbayError):
    """Not ready; the same call may be made again after `retry_after` seconds."""

    code = "unavailable"

    def __init__(self, message: str, *, retry_after: float, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.retry_after = retry_after
