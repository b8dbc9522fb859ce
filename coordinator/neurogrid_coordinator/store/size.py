"""How large a database is."""

from sqlalchemy import Connection, text

_OF_SERVER = text("select pg_database_size(current_database())")
_OF_FILE = text("select page_count * page_size from pragma_page_count(), pragma_page_size()")


def size_bytes(conn: Connection) -> int:
    """With indexes and free pages; of a SQLite file without its write-ahead log."""
    query = _OF_SERVER if conn.dialect.name == "postgresql" else _OF_FILE
    return int(conn.execute(query).scalar_one())
