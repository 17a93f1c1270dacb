"""What the database's schema is, and what it should be: also where no query would show a difference.

Alembic's own comparison does not see CHECKs, predicates of indexes, triggers, whether they are switched on, functions, rules
and rights. So both sides are read from the database's catalogue: the real schema, and one that the migrations make beside it
and that is rolled back. Differences in wording between versions of a server are the same on both sides then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.exc import SQLAlchemyError

from guard.errors import NotMigrated, RecordError
from guard.store.engine import current, migrate, open_engine, snapshot, upgrade
from guard.store.failure import explain
from guard.store.partitions import TABLES, partitions
from guard.store.tables import Base

OURS = tuple(Base.metadata.tables)
READ = frozenset({"SELECT", "INSERT"})
RIGHTS: Mapping[str, frozenset[str]] = {  # what the service may have on a table; the owner has everything
    **dict.fromkeys(OURS, READ),
    **dict.fromkeys(("log_head", "log_body", "review_case"), READ | {"UPDATE"}),
    **dict.fromkeys(
        ("log_tile", "log_checkpoint", "log_cosignature", "log_inbox", "log_inbox_body", "log_name"), READ | {"DELETE"}
    ),
}
_SCRATCH = "guard_check"
_LONGEST = 160

Facts = Mapping[str, str]  # what (a column, an index, a trigger …) → how it is defined


@dataclass(frozen=True, slots=True)
class Schema:
    """Facts by table; those of partitions, without names of their own, by partition; functions by signature."""

    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    parts: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)  # name → parent, facts
    functions: dict[str, str] = field(default_factory=dict)


def drift(engine: Engine) -> list[str]:
    """How the schema differs from what the migrations make, in words; empty where it does not.

    On PostgreSQL this needs the right to make a schema. Raises NotMigrated where there are no tables.
    """
    revision = current(engine)
    if revision is None:
        raise NotMigrated("the database has no genguard tables yet: run  guard db upgrade")
    try:
        if engine.dialect.name == "sqlite":
            with snapshot(engine) as connection:
                found = describe(connection)
            return [*differences(found, _made_by_migrations(revision)), *_open_file(engine)]
        with engine.connect() as connection:
            try:
                return _compared(connection, revision)
            finally:
                connection.rollback()
    except SQLAlchemyError as error:
        raise explain(error) from None


def _made_by_migrations(revision: str) -> Schema:
    fresh = open_engine("sqlite://")
    upgrade(fresh, revision)
    with snapshot(fresh) as connection:
        made = describe(connection)
    fresh.dispose()
    return made


def _compared(connection: Connection, revision: str) -> list[str]:
    allowed = "SELECT has_database_privilege(current_database(), 'CREATE')"
    if not connection.exec_driver_sql(allowed).scalar_one():
        raise RecordError("comparing needs the right to make a schema, which is undone at once: use the owner's URL")
    found = describe(connection)
    partitioned = "RANGE" in found.tables.get("log_entry", {}).get("table", "")
    unfit = [*_rights(connection), *(_gaps(connection) if partitioned else ()), *_switched_off(connection)]
    connection.exec_driver_sql(f"CREATE SCHEMA {_SCRATCH}")
    connection.exec_driver_sql(f"SET LOCAL search_path TO {_SCRATCH}")
    migrate(connection, revision)
    return [*differences(found, describe(connection)), *unfit]


def differences(found: Schema, wanted: Schema) -> list[str]:
    """In words, by table."""
    lines: list[str] = []
    for table, facts in wanted.tables.items():
        lines += _unlike(table, found.tables[table], facts) if table in found.tables else [f"{table}: is missing"]
    models = dict(wanted.parts.values())
    for name, (parent, facts) in found.parts.items():
        lines += _unlike(name, facts, models.get(parent, {}))
    there = {name: made for name, made in found.functions.items() if name in wanted.functions}
    return lines + list(_unlike("function", there, wanted.functions))


def _unlike(name: str, found: Facts, wanted: Facts) -> Iterator[str]:
    for what in sorted({*found, *wanted}):
        is_, should = found.get(what), wanted.get(what)
        if is_ is None:
            yield f"{name}: {what} is missing"
        elif should is None:
            yield f"{name}: {what} should not be there"
        elif is_ != should and max(len(is_), len(should)) > _LONGEST:
            yield f"{name}: {what} is not what the release defines"
        elif is_ != should:
            yield f"{name}: {what} is {is_!r} instead of {should!r}"


def describe(connection: Connection) -> Schema:
    """The schema of genguard's own tables, as the database tells it; other tables beside them are nobody's business."""
    return _sqlite(connection) if connection.dialect.name == "sqlite" else _postgresql(connection)


# --- SQLite --------------------------------------------------------------------------------------------------------


_VERB = re.compile(r"\b(update|delete)(?= ON )")  # in either case, by releases of different age


def _sqlite(connection: Connection) -> Schema:
    made = Schema()
    query = "SELECT tbl_name, type, name, sql FROM sqlite_master WHERE tbl_name NOT LIKE 'alembic%'"
    for table, kind, name, sql in connection.exec_driver_sql(query):
        words = _VERB.sub(lambda verb: verb[0].upper(), " ".join(str(sql or "").split()))
        if table in OURS:
            made.tables.setdefault(table, {}).update(_parts(words) if kind == "table" else {f"{kind} {name}": words})
    return made


def _parts(words: str) -> dict[str, str]:
    """A CREATE TABLE by columns and constraints, which may come in another order."""
    body, _, tail = words.partition("(")[2].rpartition(")")
    parts, depth, start = [], 0, 0
    for at, char in enumerate(f"{body},"):
        depth += (char == "(") - (char == ")")
        if char == "," and not depth:
            parts.append(body[start:at].strip())
            start = at + 1
    named = (part.removeprefix("CONSTRAINT ").partition(" ") for part in parts)
    kinds = ("constraint" if part.startswith("CONSTRAINT ") else "column" for part in parts)
    facts = {f"{kind} {name}": rest for kind, (name, _, rest) in zip(kinds, named, strict=True)}
    return facts | {"table": tail.strip()}


def _open_file(engine: Engine) -> list[str]:
    path = Path(str(engine.url.database or ""))
    mode = path.stat().st_mode & 0o777 if path.is_file() else 0
    return [f"the file {path} may be written by others: run  chmod 600  on it"] if mode & 0o022 else []


# --- PostgreSQL ----------------------------------------------------------------------------------------------------

_RELATIONS = text("""
SELECT c.oid, c.relname, p.relname FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
WHERE c.relkind IN ('r', 'p', 'f') AND (p.relname IN :ours OR c.relname IN :ours)
AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('log_head'))
ORDER BY c.relname
""").bindparams(bindparam("ours", expanding=True))
_FACTS = text("""
SELECT oid, 'table', '', concat_ws(' ', relkind, relpersistence, pg_get_partkeydef(oid),
  CASE WHEN relrowsecurity THEN 'row security' END, CASE WHEN relforcerowsecurity THEN 'forced' END)
FROM pg_class WHERE oid IN :oids
UNION ALL
SELECT attrelid, 'column', attname, concat_ws(' ', format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN 'NOT NULL' END,
  pg_get_expr(d.adbin, d.adrelid), nullif(attidentity, ''), nullif(attgenerated, ''))
FROM pg_attribute LEFT JOIN pg_attrdef d ON d.adrelid = attrelid AND d.adnum = attnum
WHERE attnum > 0 AND NOT attisdropped AND attrelid IN :oids
UNION ALL
SELECT conrelid, 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid IN :oids
UNION ALL
SELECT indrelid, 'index', indexrelid::regclass::text,
  pg_get_indexdef(indexrelid) || CASE WHEN indisvalid THEN '' ELSE ', not valid' END FROM pg_index WHERE indrelid IN :oids
UNION ALL
SELECT tgrelid, 'trigger', tgname, pg_get_triggerdef(oid) || CASE tgenabled WHEN 'O' THEN '' WHEN 'D' THEN ', switched off'
  WHEN 'R' THEN ', for replicas only' ELSE ', always' END
FROM pg_trigger WHERE tgconstraint = 0 AND tgrelid IN :oids
UNION ALL
SELECT ev_class, 'rule', rulename, pg_get_ruledef(oid) FROM pg_rewrite WHERE ev_class IN :oids
UNION ALL
SELECT polrelid, 'policy', polname, concat_ws(' ', polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
FROM pg_policy WHERE polrelid IN :oids
""").bindparams(bindparam("oids", expanding=True))
_FUNCTIONS = text("""
SELECT p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', pg_get_functiondef(p.oid)
  || CASE WHEN p.proowner = c.relowner THEN '' ELSE ', not of the owner of the tables' END
FROM pg_proc p JOIN pg_class c ON c.oid = to_regclass('log_head') AND p.pronamespace = c.relnamespace
WHERE p.prokind = 'f' AND p.proname LIKE 'log\\_%'
""")
_SCHEMA = text(
    "SELECT quote_ident(n.nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.oid = to_regclass('log_head')"
)
_INDEX = re.compile(r"INDEX \S+ ON (ONLY )?\S+ USING")


def _postgresql(connection: Connection) -> Schema:
    made = Schema()
    schema = connection.execute(_SCHEMA).scalar()
    if schema is None:
        return made
    relations = {oid: (name, parent) for oid, name, parent in connection.execute(_RELATIONS, {"ours": OURS})}
    facts: dict[str, dict[str, str]] = {name: {} for name, _ in relations.values()}
    for oid, kind, name, definition in connection.execute(_FACTS, {"oids": list(relations)}):
        table, parent = relations[oid]
        plain = _INDEX.sub("INDEX ON USING", definition.replace(f"{schema}.", ""))
        if parent is not None:
            plain = plain.replace(table, parent)
        own = kind in ("index", "constraint") and parent is not None  # the name of a part's own index says nothing
        facts[table][f"{kind} {plain if own else name}".strip()] = plain
    for name, parent in relations.values():
        if parent is None:
            made.tables[name] = facts[name]
        else:
            made.parts[name] = (parent, facts[name])
    made.functions.update((name, body.replace(f"{schema}.", "")) for name, body in connection.execute(_FUNCTIONS))
    return made


_GRANTS = text("""
SELECT c.relname, coalesce(p.relname, c.relname), a.privilege_type,
  CASE a.grantee WHEN 0 THEN 'everybody' ELSE pg_get_userbyid(a.grantee) END
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
CROSS JOIN LATERAL (
  SELECT * FROM aclexplode(c.relacl)
  UNION ALL
  SELECT e.* FROM pg_attribute t CROSS JOIN LATERAL aclexplode(t.attacl) e WHERE t.attrelid = c.oid AND t.attacl IS NOT NULL
) a
WHERE c.oid IN :oids AND a.grantee != c.relowner ORDER BY 1, 3
""").bindparams(bindparam("oids", expanding=True))
_OFF = text("""
SELECT coalesce(pg_get_userbyid(nullif(s.setrole, 0)), 'everybody') FROM pg_db_role_setting s
WHERE 'session_replication_role=replica' = ANY (s.setconfig)
AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
""")


def _rights(connection: Connection) -> Iterator[str]:
    """Who besides the owner may do more than a service needs."""
    oids = [row[0] for row in connection.execute(_RELATIONS, {"ours": OURS})]
    for name, table, right, role in connection.execute(_GRANTS, {"oids": oids}):
        if right not in RIGHTS.get(table, READ):
            yield f"{name}: {role} has the right {right}: revoke it"


def _gaps(connection: Connection) -> Iterator[str]:
    """Numbers for which there is no partition."""
    ends: Sequence[int] = ()
    for table in TABLES:
        parts = partitions(connection, table)
        for before, part in zip((0, *(it.beyond for it in parts)), parts, strict=False):
            if part.first != before:
                yield f"{table}: there is no partition for the entries from {before} on"
        ends = (*ends, max((it.beyond for it in parts), default=0))
    size = connection.exec_driver_sql("SELECT coalesce(max(size), 0) FROM log_head").scalar_one()
    if min(ends) <= size:
        yield f"{TABLES[ends.index(min(ends))]}: there is no partition for new entries: run  guard db upgrade"


def _switched_off(connection: Connection) -> Iterator[str]:
    """For whom sessions start without triggers."""
    for role in connection.execute(_OFF).scalars():
        yield f"triggers do not run for {role}: reset session_replication_role"
