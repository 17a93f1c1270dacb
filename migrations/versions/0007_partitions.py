"""Entries and bodies in partitions on PostgreSQL; entries below a recorded minimum index may be deleted on both engines.

The row that allows a deletion is an entry of kind `prune`, whose column `request_id` says `minimum:` and the index. Entries of
keys and policies stay: verification follows the one, and decisions are replayed with the other.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

WIDTH = 256**3  # entries in a partition: what is under one hash of a tile of level 3
KEYS = {"log_entry": "seq", "log_body": "seq, role"}

SQLITE_TRIGGER = """
CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON log_entry
BEGIN SELECT RAISE(ABORT, 'log_entry is append-only'); END
"""
SQLITE_TRIGGER_BUT_PRUNED = """
CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON log_entry
WHEN OLD.kind IN ('key', 'policy') OR NOT EXISTS (
  SELECT 1 FROM log_entry WHERE kind = 'prune' AND request_id GLOB 'minimum:[0-9]*'
  AND CAST(substr(request_id, 9) AS INTEGER) > OLD.seq
)
BEGIN SELECT RAISE(ABORT, 'log_entry is append-only'); END
"""

# Names are qualified and the path is fixed: what the caller has in its own schemas must not be looked up in their place.
APPEND_ONLY = """
CREATE FUNCTION log_entry_append_only() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.kind NOT IN ('key', 'policy') AND EXISTS (
      SELECT FROM {schema}.log_entry WHERE kind = 'prune' AND request_id ~ '^minimum:[0-9]{{1,18}}$'
      AND substr(request_id, 9)::bigint > OLD.seq
    ) THEN
      RETURN OLD;
    END IF;
  END IF;
  RAISE EXCEPTION 'log_entry is append-only';
END $$
"""
# ATTACH, unlike CREATE … PARTITION OF, waits for no reader and lets none wait.
PARTITION = """
CREATE FUNCTION log_partition(first bigint, beyond bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  parent text;
  made text;
BEGIN
  FOREACH parent IN ARRAY ARRAY['log_entry', 'log_body'] LOOP
    made := format('%s_%s_%s', parent, first, beyond);
    EXECUTE format(
      'CREATE TABLE {schema}.%I (LIKE {schema}.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)',
      made, parent);
    EXECUTE format('ALTER TABLE {schema}.%I ATTACH PARTITION {schema}.%I FOR VALUES FROM (%s) TO (%s)',
      parent, made, first, beyond);
  END LOOP;
  made := format('log_entry_%s_%s', first, beyond);
  EXECUTE format('CREATE UNIQUE INDEX %I ON {schema}.%I (id)', 'uq_' || made || '_id', made);
  EXECUTE format('CREATE TRIGGER log_entry_no_truncate BEFORE TRUNCATE ON {schema}.%I '
    'FOR EACH STATEMENT EXECUTE FUNCTION {schema}.log_entry_append_only()', made);
END $$
"""
# A writer may call this without any right to make tables. It takes no argument, so it makes no more than is needed.
MAKE_ROOM = """
CREATE FUNCTION log_make_room() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  width CONSTANT bigint := {width};
  wanted bigint;
  room bigint;
BEGIN
  SELECT coalesce(max(size), 0) + width INTO wanted FROM {schema}.log_head;
  FOR attempt IN 1..2 LOOP
    SELECT coalesce(max(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \\(''([0-9]+)''\\)')::bigint), 0) INTO room
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = '{schema}.log_entry'::regclass;
    EXIT WHEN room > wanted;
    IF attempt = 1 THEN  -- look again when whoever makes it at this moment has done so
      LOCK TABLE ONLY {schema}.log_entry IN SHARE UPDATE EXCLUSIVE MODE;
    END IF;
  END LOOP;
  WHILE room <= wanted LOOP
    PERFORM {schema}.log_partition(room, room + width);
    room := room + width;
  END LOOP;
  RETURN room;
END $$
"""
ROWS = """
CREATE TRIGGER log_entry_no_change BEFORE UPDATE OR DELETE ON log_entry
FOR EACH ROW EXECUTE FUNCTION log_entry_append_only()
"""
TRUNCATE = """
CREATE TRIGGER log_entry_no_truncate BEFORE TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION log_entry_append_only()
"""
OLD_APPEND_ONLY = """
CREATE FUNCTION log_entry_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'log_entry is append-only'; END $$
"""


def upgrade() -> None:
    """Make the tables that are there the first partitions; nothing is copied. Rights on them are given on the whole as well."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER log_entry_no_delete")
        op.execute(SQLITE_TRIGGER_BUT_PRUNED)
        return
    schema, owner = _where()
    _drop_guards()
    op.drop_constraint("fk_log_body_seq", "log_body")
    op.drop_constraint("fk_review_case_seq", "review_case")
    op.drop_constraint("uq_log_entry_id", "log_entry")
    size = op.get_bind().execute(sa.text("SELECT coalesce(max(seq), 0) + 1 FROM log_entry")).scalar_one()
    end = -(-size // WIDTH) * WIDTH
    for table, key in KEYS.items():
        _partition(table, key, end, owner)
    for function in (APPEND_ONLY, PARTITION, MAKE_ROOM):
        op.execute(function.format(schema=schema, width=WIDTH))
    for signature in ("log_entry_append_only()", "log_partition(bigint, bigint)", "log_make_room()"):
        op.execute(f"ALTER FUNCTION {signature} OWNER TO {owner}")
    first = f"log_entry_0_{end}"
    op.execute(f"CREATE UNIQUE INDEX uq_{first}_id ON {first} (id)")
    op.execute(ROWS)
    for table in ("log_entry", first):
        op.execute(TRUNCATE.format(table=table))
    op.execute("SELECT log_make_room()")


def _partition(table: str, key: str, end: int, owner: str) -> None:
    old = f"{table}_0_{end}"
    indexes = _indexes(table)
    op.execute(f"ALTER TABLE {table} RENAME TO {old}")
    op.execute(f"ALTER TABLE {old} RENAME CONSTRAINT pk_{table} TO {old}_pkey")
    for name in indexes:
        op.execute(f"ALTER INDEX {name} RENAME TO {name.replace(table, old)}")
    inclusive = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE"
    op.execute(f"CREATE TABLE {table} (LIKE {old} {inclusive}) PARTITION BY RANGE (seq)")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({key})")
    _finish(table, _grants(old), owner, indexes)
    op.execute(f"ALTER TABLE {table} ATTACH PARTITION {old} FOR VALUES FROM (0) TO ({end})")


def downgrade() -> None:
    """Back to whole tables, which copies them on PostgreSQL. Refused once entries were pruned."""
    bind = op.get_bind()
    if bind.execute(sa.text("SELECT count(*) FROM log_entry WHERE kind = 'prune'")).scalar_one():
        raise CommandError(
            "entries were pruned: older releases would take that for tampering, so stay at this revision"
        )
    if bind.dialect.name == "sqlite":
        op.execute("DROP TRIGGER log_entry_no_delete")
        op.execute(SQLITE_TRIGGER)
        return
    _, owner = _where()
    for table, key in reversed(KEYS.items()):
        _merge(table, key, owner)
    for signature in ("log_make_room()", "log_partition(bigint, bigint)", "log_entry_append_only()"):
        op.execute(f"DROP FUNCTION {signature}")
    op.create_unique_constraint("uq_log_entry_id", "log_entry", ["id"])
    op.create_foreign_key("fk_log_body_seq", "log_body", "log_entry", ["seq"], ["seq"])
    op.create_foreign_key("fk_review_case_seq", "review_case", "log_entry", ["seq"], ["seq"])
    op.execute(OLD_APPEND_ONLY)
    op.execute(f"ALTER FUNCTION log_entry_append_only() OWNER TO {owner}")
    op.execute(ROWS)
    op.execute(TRUNCATE.format(table="log_entry"))


def _merge(table: str, key: str, owner: str) -> None:
    old = f"{table}_partitioned"
    indexes = {name: made.replace(" ON ONLY ", " ON ") for name, made in _indexes(table).items()}
    op.execute(f"ALTER TABLE {table} RENAME TO {old}")
    op.execute(f"CREATE TABLE {table} (LIKE {old} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)")
    op.execute(f"INSERT INTO {table} SELECT * FROM {old} ORDER BY seq")
    grants = _grants(old)
    op.execute(f"DROP TABLE {old}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({key})")
    _finish(table, grants, owner, indexes)


# --- what a table has besides its columns --------------------------------------------------------------------------


def _where() -> tuple[str, str]:
    """The schema that holds the tables, and their owner, both quoted."""
    query = """
    SELECT quote_ident(n.nspname), quote_ident(pg_get_userbyid(c.relowner))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'log_entry'::regclass
    """
    schema, owner = op.get_bind().execute(sa.text(query)).one()
    return schema, owner


def _indexes(table: str) -> dict[str, str]:
    """How the indexes that belong to no constraint are made, by name."""
    query = """
    SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index i
    WHERE i.indrelid = CAST(:name AS regclass) AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid)
    """
    return {row[0]: row[1] for row in op.get_bind().execute(sa.text(query), {"name": table})}


def _grants(table: str) -> list[tuple[str, str]]:
    """Rights, and to whom they are given."""
    query = """
    SELECT a.privilege_type, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
    FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = CAST(:name AS regclass) AND a.grantee != c.relowner
    """
    return [(right, role) for right, role in op.get_bind().execute(sa.text(query), {"name": table})]


def _drop_guards() -> None:
    op.execute("DROP TRIGGER log_entry_no_change ON log_entry")
    op.execute("DROP TRIGGER log_entry_no_truncate ON log_entry")
    op.execute("DROP FUNCTION log_entry_append_only()")


def _finish(table: str, grants: list[tuple[str, str]], owner: str, indexes: dict[str, str]) -> None:
    op.execute(f"ALTER TABLE {table} OWNER TO {owner}")
    for right, role in grants:
        op.execute(f"GRANT {right} ON {table} TO {role}")
    for made in indexes.values():
        op.execute(made)
