"""Tables and engines: the only folder that knows SQLite from PostgreSQL."""
