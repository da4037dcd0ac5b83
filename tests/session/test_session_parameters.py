"""What a client is told of the server's settings is what PostgreSQL would tell it."""

import pytest
from conversation import shown

from twistnotify.session.encodings import client_encoding
from twistnotify.session.parameters import reported, status_frames
from twistnotify.wire.catalog import decode_backend
from twistnotify.wire.framing import FrameBuffer

SERVER = {
    "application_name": "twistnotify",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, DMY",
    "IntervalStyle": "postgres",
    "is_superuser": "on",
    "server_version": "15.18",
    "session_authorization": "tn",
    "TimeZone": "Europe/Berlin",
}


def told(user: str = "alice", encoding: str = "UTF8", **startup: str) -> dict[str, str]:
    return reported(SERVER, {"user": user, **startup}, encoding, "tn")


def test_the_servers_settings_are_passed_on() -> None:
    assert told()["server_version"] == "15.18"
    assert told()["TimeZone"] == "Europe/Berlin"


def test_what_is_the_shard_connections_own_is_not_passed_on() -> None:
    names = "application_name", "session_authorization", "client_encoding", "is_superuser"
    assert [told(encoding="LATIN1")[name] for name in names] == ["", "alice", "LATIN1", "off"]


def test_the_user_of_the_shard_connection_is_what_the_server_says() -> None:
    assert told("tn")["is_superuser"] == "on"


@pytest.mark.parametrize(
    ("name", "value", "reported_name", "reported_value"),
    [
        ("application_name", "psql", "application_name", "psql"),
        ("timezone", "UTC", "TimeZone", "UTC"),
        ("IntervalStyle", "ISO_8601", "IntervalStyle", "iso_8601"),
        ("datestyle", "German", "DateStyle", "German, DMY"),
    ],
)
def test_a_setting_that_the_client_sends_is_reported_in_postgresqls_form(
    name: str, value: str, reported_name: str, reported_value: str
) -> None:
    assert told(**{name: value})[reported_name] == reported_value


def test_the_encoding_is_reported_by_the_name_it_was_understood_as() -> None:
    assert told(encoding="UTF8", client_encoding="'utf-8'")["client_encoding"] == "UTF8"


def test_settings_that_postgresql_does_not_report_are_not_reported() -> None:
    assert told(search_path="app", options="-c x=y") == told()


def test_a_date_style_counts_from_postgresqls_default_where_the_server_has_told_none() -> None:
    assert reported({}, {"user": "a", "DateStyle": "SQL"}, "UTF8", "tn")["DateStyle"] == "SQL, MDY"


def test_all_of_it_goes_out_as_parameter_status_in_the_clients_encoding() -> None:
    startup = (("user", "jürgen"), ("application_name", "日本"))
    frames = FrameBuffer(1000)
    frames.feed(status_frames((("server_version", "15.18"),), startup, client_encoding("LATIN1"), "tn"))
    lines = []
    while (frame := frames.next_frame()) is not None:
        lines.append(shown(decode_backend(*frame, "latin-1")).removeprefix("ParameterStatus "))
    assert lines == [
        "server_version=15.18",
        "application_name=??",
        "session_authorization=jürgen",
        "client_encoding=LATIN1",
        "is_superuser=off",
    ]
