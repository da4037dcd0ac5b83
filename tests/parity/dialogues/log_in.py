"""What is said before the first command."""

from parity.dialogue import Dialogues, Stage

from twistnotify.wire.startup import PROTOCOL_3_2

DIALOGUES = Dialogues()

WHO = {"user": "postgres", "database": "postgres"}


@DIALOGUES
def a_log_in(stage: Stage) -> None:
    stage.open("a").start_up(parameters=WHO).query("SELECT 1").terminate()


@DIALOGUES
def a_log_in_with_settings(stage: Stage) -> None:
    settings = {
        "application_name": "parity",
        "DateStyle": "german",
        "IntervalStyle": "ISO_8601",
        "TimeZone": "Europe/Berlin",
    }
    stage.open("a").start_up(parameters={**WHO, **settings}).query("SELECT 1")
    stage.open("b").start_up(parameters={**WHO, "datestyle": "sql, dmy", "timezone": "UTC"})
    stage.open("c").start_up(parameters={**WHO, "client_encoding": "LATIN1", "DateStyle": "ISO"})


@DIALOGUES
def the_database_is_the_user_by_default(stage: Stage) -> None:
    stage.open("a").start_up(parameters={"user": "postgres"})
    stage.open("b").start_up(parameters={"user": "postgres", "database": ""})


@DIALOGUES
def an_unknown_database(stage: Stage) -> None:
    stage.open("a").start_up(parameters={"user": "postgres", "database": "no such"})
    stage.open("b").start_up(parameters={"user": "postgres", "database": "POSTGRES"})


@DIALOGUES
def no_user(stage: Stage) -> None:
    stage.open("a").start_up(parameters={"database": "postgres"})
    stage.open("b").start_up(parameters={"user": "", "database": "postgres"})


@DIALOGUES
def protocol_3_2(stage: Stage) -> None:
    stage.open("a").start_up(PROTOCOL_3_2, WHO).query("SELECT 1")


@DIALOGUES
def later_protocols(stage: Stage) -> None:
    stage.open("a").start_up(0x00030001, WHO).query("SELECT 1")
    stage.open("b").start_up(0x0003270F, WHO).query("SELECT 1")


@DIALOGUES
def protocol_options(stage: Stage) -> None:
    stage.open("a").start_up(parameters={**WHO, "_pq_.one": "1", "_pq_.two": ""}).query("SELECT 1")
    stage.open("b").start_up(PROTOCOL_3_2, {"_pq_.test_protocol_negotiation": "", **WHO})


@DIALOGUES
def other_major_protocols(stage: Stage) -> None:
    stage.open("a").start_up(0x00040000, WHO)
    stage.open("b").start_up(0x00050007, WHO)


@DIALOGUES
def protocol_2(stage: Stage) -> None:
    stage.open("a").raw((296).to_bytes(4, "big") + (0x00020000).to_bytes(4, "big") + bytes(288)).read_bytes_to_the_end()


@DIALOGUES
def ssl_request_then_log_in(stage: Stage) -> None:
    stage.open("a").request_ssl().start_up(parameters=WHO)


@DIALOGUES
def ssl_request_twice(stage: Stage) -> None:
    stage.open("a").request_ssl().raw(b"\0\0\0\x08\x04\xd2\x16\x2f").read_to_the_end()


@DIALOGUES
def a_packet_without_a_terminator(stage: Stage) -> None:
    stage.open("a").raw(b"\0\0\0\x16\0\3\0\0user\0postgres\0").read_to_the_end()


@DIALOGUES
def packets_of_impossible_length(stage: Stage) -> None:
    stage.open("a").raw(b"\0\0\0\7\0\3\0").read_to_the_end()
    stage.open("b").raw(b"\0\0\x27\x15\0\3\0\0").read_to_the_end()
    stage.open("c").raw(b"\xff\xff\xff\xff\0\3\0\0").read_to_the_end()
    stage.open("d").raw(b"GET / HTTP/1.0\r\n\r\n").read_to_the_end()


@DIALOGUES
def replication_is_no_boolean(stage: Stage) -> None:
    stage.open("a").start_up(parameters={**WHO, "replication": "perhaps"})
    stage.open("b").start_up(parameters={**WHO, "replication": "off"}).query("SELECT 1")


@DIALOGUES
def cancel_with_a_wrong_key(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x")
    stage.open("b").cancel(a.pid, b"\0\0\0\0")
    stage.open("c").cancel(1, b"\0\0\0\0")
    a.query("NOTIFY x")


@DIALOGUES
def cancel_of_an_idle_session(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN")
    stage.open("b").cancel(a.pid, a.secret)
    a.query("NOTIFY x").query("COMMIT")
