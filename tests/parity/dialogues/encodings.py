"""Clients that do not speak UTF-8."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()


@DIALOGUES
def latin1_hears_itself(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="LATIN1")
    a.query("LISTEN café").query("NOTIFY café, 'crème brûlée'").query("SELECT pg_listening_channels()")
    a.run("SELECT pg_notify($1, $2)", "café", "ÿ").sync().query("SELECT pg_notify('café', 'é') AS \"ça\"")


@DIALOGUES
def latin1_and_utf8(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="latin1")
    b = stage.connect("b")
    a.query("LISTEN é")
    b.query("LISTEN é").query("NOTIFY é, 'from b: ü'")
    a.hear().query("NOTIFY é, 'from a: ß'")
    b.hear()


@DIALOGUES
def latin1_lengths_are_those_of_the_server(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="LATIN1")
    a.query("LISTEN x").query(f"NOTIFY x, '{'é' * 4000}'").query(f"NOTIFY x, '{'é' * 3999}'")
    a.query(f"LISTEN {'é' * 32}").query(f"SELECT pg_notify('{'é' * 32}', '')")


@DIALOGUES
def latin1_errors(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="LATIN1")
    a.query("/* éé */ LISTEN 'é'").query("NOTIFY é é").query("DEALLOCATE é").query("BEGIN; RELEASE é").query("ROLLBACK")


@DIALOGUES
def latin1_cannot_hear_everything(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="LATIN1")
    b = stage.connect("b")
    a.query("LISTEN x")
    b.query("NOTIFY x, 'é'")
    a.hear()
    b.query("NOTIFY x, '日本'")
    a.read_to_the_end()


@DIALOGUES
def latin1_cannot_hear_itself_say_everything(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="LATIN1")
    a.query("LISTEN x").and_query("NOTIFY x, U&'\\65E5x'").read_to_the_end()


@DIALOGUES
def sql_ascii(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="SQL_ASCII")
    a.query("LISTEN é").query("NOTIFY é, '日本'").query(b"NOTIFY x, '\xff'")


@DIALOGUES
def spellings_of_an_encoding(stage: Stage) -> None:
    for number, spelling in enumerate(
        ("utf8", "UTF-8", "'utf-8'", "unicode", "iso_8859_1", "Latin-9", "win1252", "SJIS")
    ):
        connection = stage.open(f"a{number}")
        connection.start_up(parameters={"user": "postgres", "database": "postgres", "client_encoding": spelling})


@DIALOGUES
def unknown_encodings(stage: Stage) -> None:
    for number, encoding in enumerate(("KLINGON", "UTF16", "", "MULE_INTERNAL")):
        connection = stage.open(f"a{number}")
        connection.start_up(parameters={"user": "postgres", "database": "postgres", "client_encoding": encoding})


@DIALOGUES
def a_multibyte_client_encoding(stage: Stage) -> None:
    a = stage.connect("a", client_encoding="EUC_JP")
    b = stage.connect("b")
    a.query("LISTEN x").query("NOTIFY x, 'p'".encode("euc_jp")).query(b"NOTIFY x, '\xff'")
    b.query("NOTIFY x, 'ascii'")
    a.hear()
