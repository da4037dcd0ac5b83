"""Settings without an upstream: SET, SHOW, RESET, and what a client is told of them."""

import pytest
from conversation import ADMISSION, PID, SECRET, SYNC, Conversation, actions, replies, run
from relayed import Relayed, relayed

from twistnotify.session.login import Admission
from twistnotify.session.variables import Variables
from twistnotify.sql.statements import ResetAll, SetParameter
from twistnotify.wire.session_status import ParameterStatus

STATUS = {
    "TimeZone": "Europe/Berlin",
    "DateStyle": "ISO, MDY",
    "application_name": "",
    "client_encoding": "UTF8",
    "server_encoding": "UTF8",
}
FRAMES = b"".join(ParameterStatus(*pair).encode() for pair in STATUS.items())


def variables(*startup: tuple[str, str]) -> Variables:
    return Variables(FRAMES, startup)


def client(**parameters: str) -> Relayed:
    """Return a client past its log-in that was told STATUS."""
    admission = Admission(FRAMES, PID, SECRET, "UTF8", ADMISSION.acknowledgements, relayed().admission.relay)
    return Relayed(admission=admission, parameters=parameters)


def shown(conversation: Conversation, name: str) -> str:
    _, row, *rest = conversation.query(f"SHOW {name}")
    assert [line for line in rest if not line.startswith("Param")] == ["C(SHOW)", f"Z({rest[-1][2]})"]
    return row[4:-2]


def statuses(lines: list[str]) -> list[str]:
    return [line.removeprefix("ParameterStatus ") for line in lines if line.startswith("ParameterStatus")]


# As values


def test_what_the_server_has_reported_is_known_and_nothing_else() -> None:
    settings = variables()
    assert settings.show("timezone", ()) == "Europe/Berlin"
    assert settings.show("server_encoding", ()) == "UTF8"
    assert settings.show("search_path", ()) is None
    assert settings.told == STATUS


def test_what_the_client_asked_for_as_it_logged_in_is_known_where_it_is_sure() -> None:
    settings = variables(("user", "x"), ("Search_Path", "a, b"), ("statement_timeout", "1 parsec"), ("TimeZone", "UTC"))
    assert settings.show("search_path", ()) == "a, b"
    assert settings.show("statement_timeout", ()) is None
    # The server has reported what came of it.
    assert settings.show("timezone", ()) == "Europe/Berlin"


def test_changes_show_in_their_order() -> None:
    settings = variables()
    changes = [SetParameter("timezone", "UTC", False), SetParameter("timezone", "GMT", True)]
    assert settings.show("timezone", changes[:1]) == "UTC"
    assert settings.show("timezone", changes) == "GMT"
    assert settings.show("timezone", [*changes, SetParameter("timezone", None, False)]) == "Europe/Berlin"
    assert settings.show("timezone", [*changes, ResetAll()]) == "Europe/Berlin"
    assert settings.show("timezone", [*changes, SetParameter("datestyle", "x", False)]) == "GMT"


def test_a_commit_keeps_what_is_not_local() -> None:
    settings = variables()
    settings.commit([SetParameter("timezone", "UTC", False), SetParameter("timezone", "GMT", True)])
    settings.commit([SetParameter("search_path", "a", False)])
    assert settings.values == {"timezone": "UTC", "search_path": "a"}
    settings.commit([SetParameter("timezone", None, False), SetParameter("bytea_output", None, False)])
    assert settings.values == {"search_path": "a"}
    settings.commit([ResetAll()])
    assert settings.values == {}


def test_news_are_told_once_and_by_postgresqls_names() -> None:
    settings = variables()
    changes = [SetParameter("datestyle", "SQL, DMY", False), SetParameter("search_path", "a", False)]
    assert list(settings.news(changes)) == [ParameterStatus("DateStyle", "SQL, DMY")]
    assert list(settings.news(changes)) == []
    assert list(settings.news(())) == [ParameterStatus("DateStyle", "ISO, MDY")]


# As a client sees them


def test_set_shows_and_is_told_before_ready_for_query() -> None:
    conversation = client()
    assert conversation.query("SET TimeZone = 'UTC'") == ["C(SET)", "ParameterStatus TimeZone=UTC", "Z(I)"]
    assert conversation.query("SHOW timezone") == ["T(TimeZone:25)", "D(b'UTC')", "C(SHOW)", "Z(I)"]
    assert conversation.query("SET TimeZone = 'UTC'") == ["C(SET)", "Z(I)"]


def test_what_is_not_reported_is_not_told() -> None:
    conversation = client()
    assert conversation.query("SET search_path = a, b") == ["C(SET)", "Z(I)"]
    assert shown(conversation, "search_path") == "a, b"


def test_in_a_pipeline_it_is_told_at_sync() -> None:
    lines = client().say(*run("SET TimeZone = 'UTC'"), SYNC)
    assert lines[-3:] == ["C(SET)", "ParameterStatus TimeZone=UTC", "Z(I)"]


@pytest.mark.parametrize("sql", ["RESET TimeZone", "SET TimeZone TO DEFAULT", "RESET ALL", "DISCARD ALL"])
def test_a_reset_goes_back_to_what_the_log_in_had(sql: str) -> None:
    conversation = client()
    conversation.query("SET TimeZone = 'UTC'")
    conversation.query("SET search_path = a")
    tag = sql if sql == "DISCARD ALL" else sql.split()[0]
    assert [line for line in conversation.query(sql) if line[0].isupper()] == [
        f"C({tag})",
        "ParameterStatus TimeZone=Europe/Berlin",
        "Z(I)",
    ]
    assert shown(conversation, "TimeZone") == "Europe/Berlin"


@pytest.mark.parametrize("end", ["ROLLBACK", "ROLLBACK AND CHAIN", "ROLLBACK TO s"])
def test_a_rollback_takes_a_set_back(end: str) -> None:
    conversation = client()
    assert statuses(conversation.query("BEGIN; SAVEPOINT s; SET TimeZone = 'UTC'")) == ["TimeZone=UTC"]
    assert shown(conversation, "TimeZone") == "UTC"
    assert statuses(conversation.query(end)) == ["TimeZone=Europe/Berlin"]
    assert shown(conversation, "TimeZone") == "Europe/Berlin"


def test_an_error_takes_back_what_its_transaction_has_set() -> None:
    conversation = client()
    assert statuses(conversation.query("SET TimeZone = 'UTC'; NOTIFY twistnotify_gap")) == []
    assert shown(conversation, "TimeZone") == "Europe/Berlin"
    conversation.query("BEGIN; SET TimeZone = 'UTC'")
    assert statuses(conversation.query("NOTIFY twistnotify_gap")) == ["TimeZone=Europe/Berlin"]
    assert statuses(conversation.query("COMMIT")) == []


def test_a_commit_keeps_a_set_and_forgets_a_local_one() -> None:
    conversation = client()
    conversation.query("BEGIN; SET application_name = 'a'")
    assert statuses(conversation.query("SET LOCAL TimeZone = 'UTC'")) == ["TimeZone=UTC"]
    assert statuses(conversation.query("COMMIT")) == ["TimeZone=Europe/Berlin"]
    assert (shown(conversation, "application_name"), shown(conversation, "TimeZone")) == ("a", "Europe/Berlin")


def test_a_commit_in_the_middle_of_a_string_keeps_what_was_set_before_it() -> None:
    conversation = client()
    conversation.query("BEGIN; SET TimeZone = 'UTC'; COMMIT; SET search_path = a; NOTIFY twistnotify_gap")
    assert shown(conversation, "TimeZone") == "UTC"
    assert conversation.query("SHOW search_path")[0] == "attach"


def test_another_client_encoding_is_used_at_once() -> None:
    conversation = client()
    lines = conversation.query("SET client_encoding = 'latin1'")
    assert lines == ["C(SET)", "recode", "ParameterStatus client_encoding=LATIN1", "Z(I)"]
    assert conversation.session.encoding.codec == "latin-1"
    conversation.codec = "latin-1"
    assert actions(conversation.query("NOTIFY é")) == ["commit NOTIFY é"]
    assert "recode" in conversation.query("RESET client_encoding")
    assert conversation.session.encoding.codec == "utf-8"


def test_a_setting_nobody_has_asked_for_costs_nothing() -> None:
    conversation = client()
    conversation.query("LISTEN a")
    conversation.query("RESET ALL")
    conversation.query("DISCARD ALL")
    assert not conversation.session.has_variables


def test_a_database_that_does_not_relay_refuses_what_only_postgresql_can_judge() -> None:
    conversation = Conversation(parameters={})
    assert conversation.query("SET TimeZone = 'UTC'")[0] == "C(SET)"
    for sql, word in (("SET TimeZone = 'Mars/Base'", "SET"), ("SHOW search_path", "SHOW")):
        assert replies(conversation.query(sql))[-2:] == [f"ERROR 0A000 {word} is not served here", "Z(I)"]


# Behind an upstream session


def test_what_an_upstream_had_is_taken_over() -> None:
    settings = variables()
    settings.commit([SetParameter("bytea_output", "hex", False)])
    settings.take_over(
        {"TimeZone": "UTC", "search_path": "a"},
        {"search_path": "a"},
        {"search_path": "public", "timezone": "UTC", "datestyle": None, "work_mem": "4MB"},
    )
    assert settings.told == STATUS | {"TimeZone": "UTC", "search_path": "a"}
    assert settings.values == {"search_path": "a"}
    assert settings.show("search_path", [ResetAll()]) == "public"
    assert settings.show("timezone", [ResetAll()]) == "UTC"
    assert settings.show("datestyle", ()) is None
    assert settings.show("work_mem", ()) is None
