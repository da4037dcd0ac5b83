"""The exception that becomes an ErrorResponse."""

from twistnotify.session.failure import SqlError, error, fatal
from twistnotify.wire.errors import ErrorFields


def test_an_error_holds_what_the_client_is_told() -> None:
    failure = error("42601", "syntax error", "Look.", 7)
    assert failure.fields == ErrorFields("ERROR", "42601", "syntax error", hint="Look.", position=7)


def test_a_fatal_error_says_so() -> None:
    assert fatal("57P03", "not now", "Later.").fields == ErrorFields("FATAL", "57P03", "not now", hint="Later.")


def test_an_error_shows_its_sqlstate_in_a_traceback_and_no_text_of_users() -> None:
    assert str(SqlError(ErrorFields("ERROR", "22023", "secret"))) == "22023"
