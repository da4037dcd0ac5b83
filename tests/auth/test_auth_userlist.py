"""PgBouncer's userlist.txt: what it gives, what is wrong with it, and that no fault shows a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnotify.auth import userlist
from twistnotify.auth.faults import Fault
from twistnotify.auth.userlist import MAX_USER_NAME, read_userlist

SECRET = "tr0ub4dor"
NOT_A_USER = 'the line is not "user" "secret"'


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("", {}),
        ("\n \t\r\n", {}),
        ('; "a" "b"\n# "a" "b"\n  ;\n', {}),
        ('"app" "secret"', {"app": "secret"}),
        ('"app" "secret"\n"web"\t \t"other"\n', {"app": "secret", "web": "other"}),
        ('\ufeff"app" "secret"\r\n"web" "other"\r\n', {"app": "secret", "web": "other"}),
        ('  "app" "secret"', {"app": "secret"}),
        ('"app" "secret" "more"', {"app": "secret"}),
        ('"app" "secret"; and more', {"app": "secret"}),
        ('"a""b" "c""d"""', {'a"b': 'c"d"'}),
        ('"app" ""', {"app": ""}),
        ('"#app" ";secret"', {"#app": ";secret"}),
        ('"a\\b" " \\ "', {"a\\b": " \\ "}),
        ('"a\u2028\x0bb" "c\x0cd"', {"a\u2028\x0bb": "c\x0cd"}),
        ('"app" "SCRAM-SHA-256$4096:c2FsdA==$a=:b="', {"app": "SCRAM-SHA-256$4096:c2FsdA==$a=:b="}),
    ],
)
def test_users_are_read(text: str, users: dict[str, str]) -> None:
    assert read_userlist(text) == (users, ())


@pytest.mark.parametrize(
    "line",
    [
        f"app {SECRET}",
        f'app "{SECRET}"',
        f'"app" {SECRET}',
        f'"app""{SECRET}"',
        f'"app" = "{SECRET}"',
        f'"app" "{SECRET}',
        f'"app" "{SECRET}""',
        f'x "app" "{SECRET}"',
        '"app"',
        '"',
    ],
)
def test_a_line_that_is_no_user_is_a_fault_that_shows_nothing_of_it(line: str) -> None:
    assert read_userlist(f'"a" "1"\n\n{line}\n"b" "2"') == ({"a": "1", "b": "2"}, (Fault(3, NOT_A_USER),))


def test_a_user_without_a_name_is_a_fault() -> None:
    assert read_userlist(f'"" "{SECRET}"') == ({}, (Fault(1, "the user has no name"),))


def test_a_name_is_as_long_as_postgresql_keeps_it() -> None:
    longest = "é" * (MAX_USER_NAME // 2) + "x"
    users, faults = read_userlist(f'"{longest}" "1"\n"{longest}y" "2"\n"{"x" * (MAX_USER_NAME - 1)}\udcff" "3"')
    assert users == {longest: "1", "x" * (MAX_USER_NAME - 1) + "\udcff": "3"}
    assert faults == (Fault(2, "the user's name is longer than 63 bytes"),)


def test_the_first_line_of_a_user_counts_and_another_is_a_fault() -> None:
    text = f'"app" "first"\n"web" "other"\n"app" "{SECRET}"\n"app" "first"'
    wrong = "this user is in line 1 already"
    assert read_userlist(text) == ({"app": "first", "web": "other"}, (Fault(3, wrong), Fault(4, wrong)))


def test_there_are_no_more_users_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(userlist, "MAX_USERS", 2)
    text = 'x\n"a" "1"\n"b" "2"\n'
    assert read_userlist(text) == ({"a": "1", "b": "2"}, (Fault(1, NOT_A_USER),))
    users, faults = read_userlist(text + '"c" "3"\n"d" "4"\n')
    assert users == {"a": "1", "b": "2"}
    assert faults == (Fault(1, NOT_A_USER), Fault(4, "there are more than 2 users"))


names = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), min_size=1, max_size=15)


@given(st.dictionaries(names, names, max_size=6))
def test_what_is_written_as_pgbouncer_wants_it_is_read_again(users: dict[str, str]) -> None:
    lines = [" ".join('"' + text.replace('"', '""') + '"' for text in user) for user in users.items()]
    assert read_userlist("\n".join(lines)) == (users, ())


@given(st.lists(st.text('"" \tax;\r\udcff'), max_size=6))
def test_each_line_of_garbage_gives_a_user_a_fault_or_nothing(lines: list[str]) -> None:
    users, faults = read_userlist("\n".join(lines))
    assert len(users) + len(faults) == sum(line.strip(" \t\r")[:1] not in ("", ";") for line in lines)
    assert all(0 < line <= len(lines) for line, _ in faults)
