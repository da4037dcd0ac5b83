"""The page `docs/configuration.md`, made from the tables of settings and keywords."""

from __future__ import annotations

from collections.abc import Iterable

from .options import LIBPQ_KEYWORDS, OPTIONS, OWN_KEYWORDS, RESERVED_DATABASES, Keyword, Option

_PAGE = """\
# Configuration

<!-- Made from twistnotify/config/options.py by twistnotify.config.reference.render_markdown(). -->

The server reads one INI file, `etc/config.ini` in a checkout. It has the sections `[twistnotify]`,
`[databases]` and `[shards]`.

* A line that begins with `;` or `#` is a comment. There are no comments behind a value.
* A value is everything behind the first `=`, without the blanks around it. Nothing is interpolated.
* Durations are in seconds (`5`, `0.2`) or have a suffix (`5 ms`, `5 s`). Sizes are in bytes (`65536`) or have
  a suffix (`64 kB`, `8 MB`, `1 GB`), in powers of 1024. Booleans are `1 on yes true 0 off no false`.
* An unknown or repeated section, key or keyword is an error. All errors are reported at once, each with file,
  line, section and key, and never with a password:

      etc/config.ini:12: [twistnotify] listen_port: "64x33" is not a whole number

## [twistnotify]

{settings}

## [databases]

    name = keyword=value keyword=value ...

A line names a database that clients can connect to, and says where it is: all SQL that twistnotify does not
serve itself is relayed there (`relay`), over an upstream session that the client has for itself. There has to
be at least one line.

    small = host=10.0.0.9 user=app
    app = host=127.0.0.1 port=6432 user=app shards=app0,app1 relay_shard=app0

Of `small`, everything goes to one PostgreSQL. The channels of `app` are spread over two, and its other SQL
goes to a PgBouncer in front of the first of them.

A name has 1 to 63 letters, digits and characters of `_ . $ -`, and
{reserved} are reserved for the console. A value with blanks stands in single
quotes, where a quote is doubled (`'it''s'`) or has a backslash in front of it (`'it\\'s'`); a backslash takes
the next character as it is, outside of quotes too.

{own}

The other keywords are libpq's and say where the relay goes. A database without `shards=` is its own single
shard, of the same name, and its LISTEN connection goes there too; with `shards=` the LISTEN connections go
where the lines of `[shards]` say. The relay reads host, hostaddr, port, dbname, user, password, sslmode and
sslrootcert, a LISTEN connection reads them all. While clients are not asked who they are (`auth_type`),
whoever can connect runs other SQL as the line's user; `relay=off` keeps it refused.

{libpq}

`application_name` is set by twistnotify, and `connect_timeout` is `server_connect_timeout`; both are errors
here.

## [shards]

    name = keyword=value keyword=value ...

A line says where one LISTEN connection goes, with libpq's keywords (the table above) and none of ours. It has
to reach a PostgreSQL primary, or a pooler in session mode, never a transaction pooler. Give `dbname`: LISTEN
and NOTIFY belong to one database, and libpq takes the user's name for it otherwise. Several databases may
share a shard; every shard has to be used by at least one database.
"""


def render_markdown() -> str:
    """Return the text of the configuration page."""
    return _PAGE.format(
        settings=_table(("setting", "default", "value", "meaning"), map(_option_row, OPTIONS)),
        own=_table(("keyword", "value", "meaning"), map(_keyword_row, OWN_KEYWORDS)),
        libpq=_table(("keyword", "value", "meaning"), map(_keyword_row, LIBPQ_KEYWORDS)),
        reserved=" and ".join(f"`{name}`" for name in RESERVED_DATABASES),
    )


def _option_row(option: Option) -> tuple[str, ...]:
    return f"`{option.name}`", f"`{option.default}`", option.kind.describe(), option.doc


def _keyword_row(keyword: Keyword) -> tuple[str, ...]:
    return f"`{keyword.name}`", keyword.kind.describe(), keyword.doc


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows))
