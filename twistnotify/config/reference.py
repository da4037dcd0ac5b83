"""The page `docs/configuration.md`, made from the tables of settings and keywords."""

from __future__ import annotations

from collections.abc import Iterable

from .options import (
    CHANNEL_KEYWORDS,
    LIBPQ_KEYWORDS,
    OPTIONS,
    OWN_KEYWORDS,
    RESERVED_DATABASES,
    Keyword,
    Option,
)

_PAGE = """\
# Configuration

<!-- Made from twistnotify/config/options.py by twistnotify.config.reference.render_markdown(). -->

The server reads one INI file, `etc/config.ini` in a checkout. It has the sections `[twistnotify]`,
`[databases]` and `[shards]`, and may have `[channels]` and `[groups]`.

* A line that begins with `;` or `#` is a comment. There are no comments behind a value.
* A value is everything behind the first `=`, without the blanks around it. Nothing is interpolated.
* Durations are in seconds (`5`, `0.2`) or have a suffix (`5 ms`, `5 s`). Sizes are in bytes (`65536`) or have
  a suffix (`64 kB`, `8 MB`, `1 GB`), in powers of 1024. Booleans are `1 on yes true 0 off no false`.
* Relative paths start in the folder of this file.
* An unknown or repeated section, key or keyword is an error. All errors are reported at once, each with file,
  line, section and key, and never with a password:

      etc/config.ini:12: [twistnotify] listen_port: "64x33" is not a whole number

* On SIGHUP the file is read again. The settings `auth_*`, `scram_iterations`, `client_tls_*` and `acl_default` and the
  sections `[channels]` and `[groups]` change then. All else needs a restart, and the log names what has changed of it.
  A file with errors changes nothing.

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
where the lines of `[shards]` say. Where TLS is not spoken of on a line, the settings `server_tls_*` are.

A LISTEN connection reads all of them. The relay does not read passfile, and refuses `channel_binding=require` and
`gssencmode=require`, which it cannot do. It logs in as the line's user, with the line's password. On a line
without user, it logs in as the client's own user, with what the client's log-in has taught: the password, or the
keys of SCRAM. So a line with user has whoever may connect (`auth_type`) run SQL as that user, and with
`auth_type = trust` that is everyone; `relay=off` keeps other SQL refused.

{libpq}

`application_name` is set by twistnotify, and `connect_timeout` is `server_connect_timeout`; both are errors
here.

## [shards]

    name = keyword=value keyword=value ...

A line says where one LISTEN connection goes, with libpq's keywords (the table above) and none of ours. It has
to reach a PostgreSQL primary, or a pooler in session mode, never a transaction pooler. Give `dbname`: LISTEN
and NOTIFY belong to one database, and libpq takes the user's name for it otherwise. Several databases may
share a shard; every shard has to be used by at least one database.

## [channels]

    pattern = listen=user,@group notify=user,@group

A line says who may LISTEN and NOTIFY on which channels. A pattern is the name of a channel, or how names begin
and then `*`; `*` alone is every channel. The first line that matches a channel decides, so the order matters, and
a line that can never match is an error. A channel that no line matches is as `acl_default` says.

    orders.new = listen=app,@staff notify=app
    orders.* = listen=@staff
    * = listen=* notify=*

Users are those that clients log in as. `*` is everyone, and `''` is nobody.

{channels}

Rights are worth what `auth_type` is worth: with trust, a client is any user that he says he is. What can be judged are
LISTEN and NOTIFY as clients send them here, and a `SELECT pg_notify()` that is served here. What other SQL does goes
past: `pg_notify()` in functions and triggers, and whatever reaches PostgreSQL without twistnotify. So `listen` is the
boundary that holds, and `notify` is a guard against mistakes.

## [groups]

    name = user,user

A line names users, for the lines of `[channels]` to use as `@name`. There are no groups in groups, and PostgreSQL's own
roles and their members are not looked at.
"""


def render_markdown() -> str:
    """Return the text of the configuration page."""
    return _PAGE.format(
        settings=_table(("setting", "default", "value", "meaning"), map(_option_row, OPTIONS)),
        own=_table(("keyword", "value", "meaning"), map(_keyword_row, OWN_KEYWORDS)),
        libpq=_table(("keyword", "value", "meaning"), map(_keyword_row, LIBPQ_KEYWORDS)),
        channels=_table(("keyword", "value", "meaning"), map(_keyword_row, CHANNEL_KEYWORDS)),
        reserved=" and ".join(f"`{name}`" for name in RESERVED_DATABASES),
    )


def _option_row(option: Option) -> tuple[str, ...]:
    default = f"`{option.default}`" if option.default else ""
    return f"`{option.name}`", default, option.kind.describe(), option.doc


def _keyword_row(keyword: Keyword) -> tuple[str, ...]:
    return f"`{keyword.name}`", keyword.kind.describe(), keyword.doc


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows))
