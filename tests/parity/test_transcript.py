"""What is blanked in a transcript, and what is not."""

from parity.transcript import Line, Told, heard, in_promised_order, read, without_signals

from twistnotify.wire.notification import NotificationResponse
from twistnotify.wire.session_status import ParameterStatus
from twistnotify.wire.simple_query import DataRow, Field, RowDescription

NAMES = {4711: "b"}
ERROR = b"SERROR\0VERROR\0C40P01\0Mdeadlock\0DProcess 12 waits.\0WSQL process 13\0tt\0spg_temp_7\0\0"


def of_column(table_oid: int, type_oid: int) -> str:
    """Return the line of a row description with one column."""
    return heard("a", RowDescription((Field("n", table_oid, 1, type_oid, 4, -1, 0),)), {}).text


def test_senders_have_names() -> None:
    assert heard("a", NotificationResponse(4711, "x", ""), NAMES).text.endswith("from b")
    assert heard("a", NotificationResponse(4712, "x", ""), NAMES).text.endswith("from a stranger")


def test_rows_show_no_pid() -> None:
    assert heard("a", DataRow((b"4711", b"47110")), NAMES).text == "a< DataRow ['pid of b', \"b'47110'\"]"
    assert without_signals("pg_cancel_backend(4711), 4711", NAMES) == "pg_cancel_backend(pid of b), 4711"


def test_oids_of_users_are_one() -> None:
    assert of_column(16400, 23) == of_column(16999, 23)
    assert of_column(1259, 23) != of_column(1247, 23)
    assert of_column(0, 17000) == of_column(0, 18000)


def test_an_error_tells_its_place_without_numbers_of_the_run() -> None:
    line = heard("a", read(ord("E"), ERROR, "utf-8"), {})
    assert line == Line(
        "a< ErrorResponse ERROR 40P01 deadlock", "Process waits.", None, "W=SQL process; s=pg_temp; t=t"
    )


def test_what_is_canceled_has_no_place() -> None:
    assert heard("a", read(ord("E"), ERROR.replace(b"40P01", b"57014"), "utf-8"), {}).place is None


def test_an_unknown_message_is_shown_as_it_is() -> None:
    assert heard("a", read(ord("?"), b"x", "utf-8"), {}).text == "a< unknown message '?' b'x'"


def test_what_a_client_did_not_ask_for_has_a_place_of_its_own() -> None:
    said: list[Told] = [ParameterStatus("b", "1"), NotificationResponse(4711, "x", ""), ParameterStatus("A", "1")]
    texts = [line.text for line in in_promised_order([heard("a", message, NAMES) for message in said])]
    assert [text.split()[1] for text in texts] == ["NotificationResponse", "ParameterStatus", "ParameterStatus"]
    assert "name='A'" in texts[1]
