"""What a database error means for the person who runs the service."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from guard.errors import AlreadyRecorded, NotMigrated, RecordError

_NOTHING = "nothing was recorded or released"
_UNKNOWN = (
    "the connection to the database was lost while it committed: nothing was released, but whether it was recorded is not"
    " known; ask again with the same request id"
)

# Fragments of SQLite's messages, or SQLSTATE codes of PostgreSQL, and what to do about them.
_ADVICE = (
    (("database or disk is full", "53100"), "the disk is full: free some space and try again"),
    (("database is locked", "55P03"), "another process keeps the database locked: find and end it, then try again"),
    (("readonly database", "25006"), "the database is read-only: check the owner and mode of the file and its folder"),
    (("unable to open database",), "the database cannot be opened: check the path, its folder and their permissions"),
    (("42501",), "the database user lacks privileges on genguard's tables: grant SELECT and INSERT, see the README"),
    (
        ("no partition of relation",),
        "there is no partition for new entries: run  guard db upgrade  as the tables' owner",
    ),
    (("append-only",), "the record is append-only: entries are never changed or removed"),
)
_DAMAGE = ("malformed", "not a database", "disk I/O error", "no such column", "corrupt", "XX001", "XX002")
_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_ONCE = ("pk_log_once", "log_once.request_id, log_once.kind")


def explain(error: SQLAlchemyError, *, committing: bool = False) -> RecordError:
    """The RecordError that says what to do; it names no values, since they may be personal.

    `committing`: the transaction had done its work and was to commit.
    Raise it `from None`: PostgreSQL's own messages quote whole rows.
    """
    if is_missing_table(error):
        return NotMigrated("the database lacks genguard's tables: run  guard db upgrade")
    symptom = _symptom(error)
    if isinstance(error, IntegrityError) and any(name in symptom for name in _ONCE):
        return AlreadyRecorded("this request was recorded by another caller at the same moment: read its outcome")
    for fragments, advice in _ADVICE:
        if any(fragment in symptom for fragment in fragments):
            return RecordError(f"{advice}; {_NOTHING}")
    if is_damage(error):
        return RecordError("the database file is damaged: keep a copy, run  guard audit verify  and restore a backup")
    if isinstance(error, PoolTimeout) or (isinstance(error, DBAPIError) and _unreachable(error)):
        if committing:
            return RecordError(_UNKNOWN)
        return RecordError(f"the database cannot be reached: check that it runs and the store's URL; {_NOTHING}")
    original = getattr(error, "orig", None) or error
    names = [type(original).__name__, getattr(original, "sqlstate", None), _constraint(original)]
    return RecordError(f"the database refused the transaction ({' '.join(filter(None, names))}); {_NOTHING}")


def is_damage(error: SQLAlchemyError) -> bool:
    """Whether the stored bytes themselves are broken, which is evidence rather than a fault of the service."""
    original = getattr(error, "orig", None)
    code = getattr(original, "sqlite_errorcode", None)
    if isinstance(code, int) and code & 0xFF in _DAMAGE_CODES:
        return True
    symptom = _symptom(error)
    return any(fragment in symptom for fragment in _DAMAGE)


def is_missing_table(error: SQLAlchemyError) -> bool:
    """Whether a statement failed because the schema was never made, or not to the end."""
    symptom = _symptom(error)
    return any(fragment in symptom for fragment in ("no such table", "42P01", "42883"))


def _symptom(error: SQLAlchemyError) -> str:
    original = getattr(error, "orig", None)
    return f"{getattr(original, 'sqlstate', None)} {_constraint(original)} {original or error}"


def _constraint(original: object) -> str | None:
    name = getattr(getattr(original, "diag", None), "constraint_name", None)
    return name if isinstance(name, str) else None


def _unreachable(error: DBAPIError) -> bool:
    original = error.orig
    state = getattr(original, "sqlstate", None)
    lost = state is None or str(state).startswith(("08", "57P"))
    return error.connection_invalidated or (lost and type(original).__name__ in ("OperationalError", "AdminShutdown"))
