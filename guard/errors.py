"""Every error that genguard raises, grouped by who must act.

GuardError
├── CallerError                the code that calls us must change
│   ├── ConfigError            a setting, a policy file, a path
│   │   └── PolicyError        a policy file, with its line
│   ├── ContentError           what was handed over cannot be read as what it claims to be
│   ├── MissingExtra           an optional dependency is not installed
│   └── IdempotencyConflict    one request id, two different requests
├── WithheldError              nothing broke: the policy withheld the content
│   ├── HeldForReview
│   └── Blocked
├── OperationError             whoever runs the service must act
│   ├── GenerationError        the model or callable failed
│   ├── StampError             a mark that the policy requires could not be made
│   ├── KeyFileError           a key is missing, unreadable or readable by others
│   └── RecordError            the record could not be written; nothing was released
│       ├── NotMigrated        the database has no tables, or older ones
│       ├── WitnessError       the witness cannot be asked, or does not sign what it was shown
│       ├── TimestampError     the time stamp authority cannot be asked, or its answer does not hold
│       └── AlreadyRecorded    another process recorded this request first
├── LegalHold                  content must be kept for now: it cannot be erased
├── ReviewError                a reviewer's action was refused
└── EvidenceError              a proof, signature or record does not hold
    ├── ProofError
    └── NoteError

Messages say what to do next and never quote prompts, answers or key material.
"""

from __future__ import annotations


class GuardError(Exception):
    """The root: catch it to catch everything that genguard raises on purpose."""


class CallerError(GuardError):
    """The calling code must change."""


class ConfigError(CallerError):
    """A setting, a policy or a path is wrong."""


class PolicyError(ConfigError):
    """A policy file is wrong; the message starts with `file:line`."""


class ContentError(CallerError):
    """Content cannot be read as what it claims to be."""


class MissingExtra(CallerError):  # noqa: N818  (named as the thing that is missing)
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: run  pip install 'genguard[{extra}]'")
        self.extra = extra


class IdempotencyConflict(CallerError):  # noqa: N818
    """A request id was used before for another request."""


class WithheldError(GuardError):
    """The policy withheld the content. Raised by `Outcome.raise_for_action()` only."""


class HeldForReview(WithheldError):  # noqa: N818
    """A person has to decide first."""


class Blocked(WithheldError):  # noqa: N818
    """The policy blocked the content."""


class OperationError(GuardError):
    """Whoever runs the service must act."""


class GenerationError(OperationError):
    """The model or callable failed."""


class StampError(OperationError):
    """A mark that the policy requires could not be made; `reason` is a word for the record."""

    def __init__(self, message: str, reason: str = "signing_failed") -> None:
        super().__init__(message)
        self.reason = reason


class KeyFileError(OperationError):
    """A key file is missing, malformed or readable by others."""


class RecordError(OperationError):
    """The record could not be written or read; nothing was released."""


class NotMigrated(RecordError):  # noqa: N818
    """The database lacks our tables or holds older ones."""


class WitnessError(RecordError):
    """The witness did not cosign: it cannot be reached, or it signed a longer or another log before."""


class TimestampError(RecordError):
    """A time stamp that is required could not be had: the authority cannot be reached, or its answer does not hold."""


class AlreadyRecorded(RecordError):  # noqa: N818
    """Another caller recorded the same request first; its outcome stands."""


class LegalHold(GuardError):  # noqa: N818
    """Content is under a legal hold: it cannot be erased until the hold is released."""


class ReviewError(GuardError):
    """A reviewer's action was refused: the case is held by another person, decided, or the reason is missing."""


class EvidenceError(GuardError):
    """A proof, a signature or a record does not hold."""


class ProofError(EvidenceError):
    """A Merkle proof is malformed or does not lead to the root."""


class NoteError(EvidenceError):
    """A signed note is malformed or carries no signature by a known key."""
