"""What PostgreSQL is asked before a client's session there is given up: whether anything of it would be missed.

One query string with three answers: a row that says whether there are things that only a session has, the settings,
and a notice where no sequence has been used. That could be asked by SELECT lastval() as well, but its error would be
in the server's log each time; a block that catches it leaves no trace, and an INFO is sent whatever
client_min_messages is. Names are qualified, so that nobody's search_path can put others in their place.

What nobody can ask for: settings that PostgreSQL does not list (`my.setting`), sequences that were only set (setval),
what a procedural language or a library keeps, the seed of random().
"""

from __future__ import annotations

from twistnotify.sql.quoting import quote_literal
from twistnotify.sql.statements import PARAMETERS

NO_SEQUENCE = "twistnotify: no sequence has been used"
"""The text of the notice."""
SESSION = "session"
"""The source of a setting that was SET in its session."""

_HAS_NOTHING = """\
SELECT NOT (EXISTS (SELECT FROM pg_catalog.pg_prepared_statements)
 OR EXISTS (SELECT FROM pg_catalog.pg_cursors)
 OR EXISTS (SELECT FROM pg_catalog.pg_listening_channels())
 OR EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())
 OR pg_catalog.pg_my_temp_schema() <> 0
 OR CURRENT_USER <> SESSION_USER
 OR NOT EXISTS (SELECT FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS me
 JOIN pg_catalog.pg_roles AS who ON who.oid = me.usesysid WHERE who.rolname = SESSION_USER))"""
# CURRENT_USER and SESSION_USER are the login's, which SET SESSION AUTHORIZATION changes both.

_SETTINGS = f"""\
SELECT name, pg_catalog.current_setting(name), reset_val, source FROM pg_catalog.pg_settings
 WHERE source = {quote_literal(SESSION)} OR name IN ({", ".join(map(quote_literal, PARAMETERS))})"""

_BLOCK = f"""\
BEGIN
 PERFORM pg_catalog.lastval();
EXCEPTION WHEN object_not_in_prerequisite_state THEN
 RAISE INFO {quote_literal(NO_SEQUENCE)};
END"""

QUESTION = ";\n".join((_HAS_NOTHING, _SETTINGS, f"DO LANGUAGE plpgsql {quote_literal(_BLOCK)}"))
"""The query string; outside of any transaction."""
