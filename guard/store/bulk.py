"""Many rows at once, by the fastest way that each driver has."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Executable, Integer, LargeBinary, Table, Text
from sqlalchemy.exc import DBAPIError

_COPY_TYPES = ((BigInteger, "int8"), (Integer, "int4"), (LargeBinary, "bytea"), (Text, "text"))


def insert_rows(connection: Connection, table: Any, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert whole rows, values in the order of the table's columns: COPY on PostgreSQL, executemany on SQLite.

    Raises SQLAlchemy's errors, as any other statement does.
    """
    if not rows:
        return
    target: Table = table.__table__
    names = [column.name for column in target.columns]
    if connection.dialect.name == "postgresql":
        _copy(connection, target, names, rows)
    else:
        marks = ", ".join("?" * len(names))
        statement = f"INSERT INTO {target.name} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608  (names of our own)
        connection.exec_driver_sql(statement, list(rows))


def stream(connection: Connection, query: Executable, at_once: int) -> Generator[Any]:
    """Rows without holding all of them in memory. Close it (`contextlib.closing`) where not all of them may be taken."""
    with connection.execute(query, execution_options={"yield_per": at_once}) as rows:
        yield from rows


class Ahead:
    """Rows in order, with a look at the next one."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def peek(self) -> Any:
        """The next row; None after the last."""
        return self._next

    def take(self) -> None:
        """Go on to the row after it."""
        self._next = next(self._rows, None)

    def rest(self) -> Iterator[Any]:
        """All that are left."""
        while self._next is not None:
            row = self._next
            self.take()
            yield row


def _copy(connection: Connection, table: Table, names: list[str], rows: Sequence[tuple[Any, ...]]) -> None:
    import psycopg

    types = [next(name for kind, name in _COPY_TYPES if isinstance(column.type, kind)) for column in table.columns]
    statement = f"COPY {table.name} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
        ) from error
