"""The text of `etc/config.ini`, made from the table of settings.

Lines of prose begin with `;; `; a setting or an example that only needs its semicolon taken away begins with
`;`.
"""

from __future__ import annotations

import textwrap

from .options import OPTIONS, Option

_WIDTH = 100

_TOP = """\
;; The configuration of twistnotify. Every setting is here, at its default where it begins with a
;; semicolon. Comments are whole lines; a value is everything behind the first "=".
;; Durations are in seconds (5, 0.2, "5 ms"), sizes in bytes (65536, "64 kB", "8 MB").

[twistnotify]
"""

_CONNECTIONS = """
;; What clients connect to, and where the SQL goes that is not served here: name = libpq keywords,
;; and shards=, relay=, relay_shard=, relay_idle_timeout=, listen_ack=, notify_ack=, embedded=.
;; A value with blanks stands in single quotes. A line without shards= is its own single shard.
[databases]
postgres = embedded=var/postgres dbname=postgres user=postgres
;; A database on a server of its own.
;small = host=10.0.0.9 user=app password='it''s a secret'
;; One whose channels are spread over two servers; other SQL goes to the PgBouncer of the first.
;app = host=10.0.0.1 port=6432 shards=app0,app1 relay_shard=app0 listen_ack=confirmed
;; One that shares the second of them and has no place to relay to: other SQL is refused.
;audit = shards=app1 notify_ack=committed

;; One PostgreSQL primary a line (libpq keywords, host lists included), never a transaction pooler.
[shards]
;app0 = host=10.0.0.1 dbname=app user=tn_listen
;app1 = host=10.0.0.2,10.0.0.3 dbname=app user=tn_listen target_session_attrs=read-write

;; Who may LISTEN and NOTIFY on which channels: a name, or how names begin and *. The first line
;; that matches decides; a word that is not there is nobody, and acl_default is for the rest. Other
;; ways to notify, such as triggers, are not looked at.
[channels]
;orders.new = listen=app,@staff notify=app
;orders.* = listen=@staff
;* = listen=* notify=*

;; Users that [channels] names together.
[groups]
;staff = alice,bob
"""


def render_default() -> str:
    """Return the text of the configuration file that is shipped: it runs on an embedded PostgreSQL."""
    return _TOP + "\n".join(map(_setting, OPTIONS)) + _CONNECTIONS


def _setting(option: Option) -> str:
    default = "" if option.shipped in (None, option.default) else f"; default {option.default}"
    prose = textwrap.wrap(
        f"{option.doc} ({option.kind.describe()}{default})", _WIDTH - len(";; "), break_on_hyphens=False
    )
    setting = f";{option.name} = {option.default}" if option.shipped is None else f"{option.name} = {option.shipped}"
    return "\n".join([*(f";; {line}" for line in prose), setting.rstrip()]) + "\n"
