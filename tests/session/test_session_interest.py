"""No text that matters passes unread; of the others most do."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnotify.session.interest import LONGEST_REMEMBERED, is_of_interest
from twistnotify.sql.parse import parse
from twistnotify.sql.statements import AdvisoryUnlockAll, CloseAll, Constant, Other, SetParameter, ShowParameter

MATTER = [
    "LISTEN a",
    "UNLISTEN *",
    "NOTIFY a",
    "SELECT pg_notify('a', 'b')",
    "SELECT pg_notify($1, $2)",
    "SELECT * FROM pg_listening_channels()",
    "SELECT pg_backend_pid()",
    "SELECT pg_terminate_backend(7)",
    "SELECT pg_cancel_backend(7)",
    "BEGIN ISOLATION LEVEL SERIALIZABLE",
    "START TRANSACTION",
    "COMMIT AND CHAIN",
    "END",
    "ROLLBACK",
    "ABORT",
    "SAVEPOINT a",
    "RELEASE a",
    "ROLLBACK TO a",
    "PREPARE TRANSACTION 'x'",
    "DISCARD ALL",
    "DEALLOCATE ALL",
    "DEALLOCATE x",
    "RESET ALL",
    "DO 'BEGIN NOTIFY a; END'",
    "SET twistnotify.listen_ack = 'confirmed'",
    "SHOW twistnotify.notify_ack",
]
# These are the upstream's own, once there is one.
UPSTREAMS = (Other, Constant, AdvisoryUnlockAll, CloseAll, SetParameter, ShowParameter)
blanks = st.sampled_from([" ", "\t", "\n", "\r\n", "/* x */", "-- x\n", "/* ; /* */ */"])
before = st.lists(st.one_of(blanks, st.sampled_from([";", "SELECT 2 ;", "SHOW search_path;"])), max_size=4).map("".join)
after = st.sampled_from(["", ";", " ", " -- x", "; SELECT 2", ";/**/"])
cases = st.sampled_from([str.lower, str.upper, str.title])


@given(before, st.sampled_from(MATTER), after, cases)
def test_what_matters_is_read_wherever_it_stands(before: str, sql: str, after: str, case: Callable[[str], str]) -> None:
    text = f"{before}{case(sql)}{after}"
    assert any(not isinstance(statement, UPSTREAMS) for statement in parse(text))
    assert is_of_interest(text.encode())


@pytest.mark.parametrize(
    "sql",
    [
        "",
        ";",
        "SELECT 2",
        "SELECT begun FROM commits WHERE ended",
        "INSERT INTO t VALUES ($1)",
        "UPDATE t SET a = 'rollback'",
        "SET search_path = a",
        "SHOW server_version",
        "COPY t FROM STDIN",
        "  SELECT ';commi' ",
    ],
)
def test_what_does_not_matter_is_not_read(sql: str) -> None:
    assert not is_of_interest(sql.encode())


@pytest.mark.parametrize("size", [LONGEST_REMEMBERED, LONGEST_REMEMBERED + 1, 100_000])
def test_the_length_of_a_text_makes_no_difference(size: int) -> None:
    assert is_of_interest(b"NOTIFY a -- ".ljust(size, b"x"))
    assert not is_of_interest(b"SELECT 2 -- ".ljust(size, b"x"))
    assert is_of_interest(b"SELECT 2;".ljust(size - 8, b" ") + b"COMMIT")


def test_bytes_of_any_encoding_do_no_harm() -> None:
    assert is_of_interest(bytes(range(128, 256)) + b"NOTIFY")
    assert not is_of_interest(bytes(range(128, 256)))
