"""What names stand for, as the upstream has answered."""

from conversation import bind, close, close_statement

from twistnotify.session.encodings import Encoding
from twistnotify.session.expected import BIND, CLOSE, PARSE, Expected, Run
from twistnotify.session.names import Names
from twistnotify.sql.statements import CallNotify, Listen, Notify, Parameter, Statement

UTF8, LATIN1 = Encoding("UTF8", "utf-8"), Encoding("LATIN1", "latin-1")
LISTEN = Listen("a")
CALL = CallNotify(Parameter(1), Parameter(2), "pg_notify")


def parsed(names: Names, name: bytes, statement: Statement | None) -> None:
    names.parsed(Expected(PARSE, (None if statement is None else Run(statement),), name))


def bound(names: Names, portal: str, statement: str, *values: str | bytes | None, encoding: Encoding = UTF8) -> None:
    frame = bind(*values, portal=portal, statement=statement).encode()
    names.bound(Expected(BIND, name=portal.encode(), frame=frame), encoding)


def with_statements(**statements: Statement) -> Names:
    names = Names()
    for name, statement in statements.items():
        parsed(names, name.encode(), statement)
    return names


def test_a_name_stands_for_what_was_parsed_last() -> None:
    names = with_statements(s=LISTEN)
    assert names.statements == {b"s": LISTEN}
    parsed(names, b"s", Notify("a", ""))
    assert names.statements == {b"s": Notify("a", "")}


def test_a_statement_of_no_concern_takes_the_name_from_one_that_was() -> None:
    names = with_statements(s=LISTEN)
    parsed(names, b"s", None)
    parsed(names, b"t", None)
    assert names.statements == {}


def test_a_portal_stands_for_its_statement_and_outlives_it() -> None:
    names = with_statements(s=LISTEN)
    bound(names, "p", "s")
    names.closed(Expected(CLOSE, frame=close_statement("s").encode()))
    assert names.statements == {}
    assert names.portals == {b"p": Run(LISTEN)}


def test_a_portal_of_a_statement_of_no_concern_stands_for_nothing() -> None:
    names = with_statements(s=LISTEN)
    bound(names, "p", "s")
    bound(names, "p", "other")
    assert names.portals == {}


def test_a_bind_that_was_not_read_makes_a_portal_that_stands_for_nothing() -> None:
    names = with_statements(s=LISTEN)
    bound(names, "p", "s")
    names.bound(Expected(BIND, name=b"p"), UTF8)
    assert names.portals == {}


def test_a_portal_is_closed_by_its_own_name() -> None:
    names = with_statements(p=LISTEN)
    bound(names, "p", "p")
    names.closed(Expected(CLOSE, frame=close("p").encode()))
    assert names.portals == {}
    assert names.statements == {b"p": LISTEN}
    names.closed(Expected(CLOSE, frame=close("p").encode()))


def test_values_of_pg_notify_are_read_in_the_clients_encoding() -> None:
    names = with_statements(s=CALL)
    bound(names, "p", "s", b"\xe9", None, encoding=LATIN1)
    assert names.portals[b"p"].arguments == ("é", None)


def test_values_of_other_statements_are_nobodys_business() -> None:
    names = with_statements(s=LISTEN)
    bound(names, "p", "s", "x")
    assert names.portals[b"p"].arguments == ()


def test_values_that_cannot_be_read_are_left_out() -> None:
    names = with_statements(s=CALL)
    bound(names, "p", "s", b"\xff", "x")
    assert names.portals[b"p"].arguments == ()


def test_a_simple_query_takes_what_has_no_name() -> None:
    names = with_statements(s=LISTEN)
    parsed(names, b"", LISTEN)
    bound(names, "", "s")
    bound(names, "p", "s")
    names.drop_unnamed()
    assert names.statements == {b"s": LISTEN}
    assert list(names.portals) == [b"p"]


def test_named_statements_are_dropped_without_the_unnamed_one() -> None:
    names = with_statements(s=LISTEN, t=LISTEN)
    parsed(names, b"", LISTEN)
    names.drop_named_statements()
    assert names.statements == {b"": LISTEN}
