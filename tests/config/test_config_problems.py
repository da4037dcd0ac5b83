"""Bad files: every kind of error with its place, all of them at once, and never a password."""

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnotify.config.loader import ConfigurationError, Problem, load
from twistnotify.config.problems import quoted, suggestion

DATABASE = "[databases]\nd = host=h\n"
# What every file begins with: lines of the texts below are counted from behind it.
HEAD = "[twistnotify]\nauth_type = trust\n"
HEAD_LINES = 2
NEEDS_QUOTES = "is not keyword=value (a value with blanks needs single quotes)"
NOWHERE = "has no effect: beside shards, host or hostaddr says where to relay to"
BAD_NAME = "a name is 1 to 63 letters, digits and characters of _ . $ -"

# Text, and what is said about it: line, section, key, message.
Said = tuple[int, str | None, str | None, str]
BAD_FILES: list[tuple[str, Sequence[Said]]] = [
    # Lines and sections.
    ("", [(1, "databases", None, "there has to be at least one database")]),
    ("\n[databases]\n\n", [(2, "databases", None, "there has to be at least one database")]),
    (DATABASE + "nonsense\n", [(3, "databases", None, "the line is not key = value")]),
    (DATABASE + "= host=h\n", [(3, "databases", None, "the line is not key = value")]),
    (DATABASE + "[shards\nx = 1\n", [(3, None, None, "a section's header is not closed by ]")]),
    (
        DATABASE + "[shard]\nwhatever\n",
        [(3, None, None, 'unknown section "[shard]"; did you mean "shards"?')],
    ),
    (DATABASE + "[q!]\n", [(3, None, None, 'unknown section "[q!]"')]),
    (
        DATABASE + "[shards]\n[databases]\ne = host=h\nnonsense",
        [
            (4, "databases", None, "the section is there twice, first in line 3"),
            (6, "databases", None, "the line is not key = value"),
        ],
    ),
    (
        DATABASE + "e\x00 = host=h\n",
        [(3, None, None, "the line holds a control character or is not valid UTF-8")],
    ),
    (
        DATABASE + "e = host=\udce9\n",
        [(3, None, None, "the line holds a control character or is not valid UTF-8")],
    ),
    (DATABASE + "d = host=i\n", [(3, "databases", "d", "this key is there twice, first in line 4")]),
    # Settings.
    (
        "listen_prot = 1\n" + DATABASE,
        [(1, "twistnotify", "listen_prot", 'unknown setting; did you mean "listen_port"?')],
    ),
    ("zzz = 1\n" + DATABASE, [(1, "twistnotify", "zzz", "unknown setting")]),
    ("a b! = 1\n" + DATABASE, [(1, "twistnotify", None, "unknown setting")]),
    (
        "listen_port = 1\nlisten_port = 2\n" + DATABASE,
        [(2, "twistnotify", "listen_port", "this key is there twice, first in line 3")],
    ),
    (
        "listen_port = 64x33\n" + DATABASE,
        [(1, "twistnotify", "listen_port", '"64x33" is not a whole number')],
    ),
    (
        "listen_port =\n" + DATABASE,
        [(1, "twistnotify", "listen_port", '"" is not a whole number')],
    ),
    (
        "listen_port = 65536\n" + DATABASE,
        [(1, "twistnotify", "listen_port", '"65536" is not between 0 and 65535')],
    ),
    (
        "server_login_retry = 0\n" + DATABASE,
        [(1, "twistnotify", "server_login_retry", '"0" is not between 0.001 and 86400 seconds')],
    ),
    (
        "server_login_retry = 6\n" + DATABASE,
        [(1, "twistnotify", "server_login_retry", "server_login_retry_max is below server_login_retry")],
    ),
    (
        "server_login_retry = 9\nserver_login_retry_max = 8\n" + DATABASE,
        [(2, "twistnotify", "server_login_retry_max", "server_login_retry_max is below server_login_retry")],
    ),
    (
        "server_login_retry = 9\nserver_login_retry_max = 99999\n" + DATABASE,
        [(2, "twistnotify", "server_login_retry_max", '"99999" is not between 0.001 and 86400 seconds')],
    ),
    (
        "max_packet_size = 512 kB\n" + DATABASE,
        [(1, "twistnotify", "max_packet_size", '"512 kB" is not between 1 MB and 1 GB')],
    ),
    (
        "listen_ack = committed\n" + DATABASE,
        [(1, "twistnotify", "listen_ack", '"committed" is not one of immediate, confirmed')],
    ),
    # Databases.
    (
        "[databases]\ntwistnotify = host=h\n",
        [(2, "databases", "twistnotify", "twistnotify is the name of the console")],
    ),
    (
        "[databases]\npgbouncer = host=h\n",
        [(2, "databases", "pgbouncer", "pgbouncer is the name of the console")],
    ),
    ("[databases]\n* = host=h\n", [(2, "databases", None, BAD_NAME)]),
    ("[databases]\n" + "a" * 64 + " = host=h\n", [(2, "databases", None, BAD_NAME)]),
    ("[databases]\nd = h\n", [(2, "databases", "d", f"the line {NEEDS_QUOTES}")]),
    (
        "[databases]\nd = hots=h\n",
        [(2, "databases", "d", 'unknown keyword "hots"; did you mean "host"?')],
    ),
    ("[databases]\nd = zzz=h\n", [(2, "databases", "d", 'unknown keyword "zzz"')]),
    ("[databases]\nd = host=a host=b\n", [(2, "databases", "d", "host is there twice")]),
    ("[databases]\nd = host=\n", [(2, "databases", "d", "the value of host is empty")]),
    ("[databases]\nd = port=0\n", [(2, "databases", "d", "the value of port is not between 1 and 65535")]),
    (
        "[databases]\nd = sslmode=on\n",
        [
            (
                2,
                "databases",
                "d",
                "the value of sslmode is not one of disable, allow, prefer, require, verify-ca, verify-full",
            )
        ],
    ),
    (
        "[databases]\nd = target_session_attrs=standby\n",
        [
            (
                2,
                "databases",
                "d",
                "the value of target_session_attrs names a standby, where LISTEN does not work",
            )
        ],
    ),
    (
        "[databases]\nd = application_name=x connect_timeout=3\n",
        [
            (2, "databases", "d", "application_name is set by twistnotify itself"),
            (2, "databases", "d", "connect_timeout is server_connect_timeout, in [twistnotify]"),
        ],
    ),
    (
        "[databases]\nd = listen_ack=committed notify_ack=confirmed\n",
        [
            (2, "databases", "d", "the value of listen_ack is not one of immediate, confirmed"),
            (2, "databases", "d", "the value of notify_ack is not one of immediate, committed"),
        ],
    ),
    *(
        (
            f"[databases]\nd = embedded=x {word}=1\n",
            [(2, "databases", "d", f"embedded and {word} exclude each other")],
        )
        for word in ("host", "hostaddr", "port")
    ),
    (
        "[databases]\nd = shards=a embedded=x\n[shards]\na = host=h\n",
        [(2, "databases", "d", "embedded and shards exclude each other")],
    ),
    # Shards.
    (
        "[databases]\nd = shards=app1,b\n[shards]\napp = host=1\n",
        [
            (2, "databases", "d", 'shard "app1" is not in [shards]; did you mean "app"?'),
            (2, "databases", "d", 'shard "b" is not in [shards]'),
            (4, "shards", "app", "no database uses this shard"),
        ],
    ),
    (
        "[databases]\nd = shards=a,a\n[shards]\na = host=1\n",
        [(2, "databases", "d", "the value of shards holds a name twice")],
    ),
    (
        "[databases]\nd = shards=a,\n[shards]\na = host=1\n",
        [(2, "databases", "d", "the value of shards is not a list of names with commas between them")],
    ),
    (
        "[databases]\nd = shards=\n[shards]\na = host=1\n",
        [
            (2, "databases", "d", "the value of shards is not a list of names with commas between them"),
        ],
    ),
    (DATABASE + "[shards]\na = host=1\n", [(4, "shards", "a", "no database uses this shard")]),
    (
        "[databases]\nd = host=h\ne = shards=d\n[shards]\nd = host=1\n",
        [(5, "shards", "d", "a database of this name without shards= is already a shard of this name")],
    ),
    *(
        (
            f"[databases]\nd = shards=a\n[shards]\na = {word}=x\n",
            [(4, "shards", "a", f"{word} belongs on a line of [databases]")],
        )
        for word in ("shards", "relay", "relay_shard", "relay_idle_timeout", "listen_ack", "notify_ack", "embedded")
    ),
    # The relay.
    (
        "[databases]\nd = host=h relay=maybe relay_shard='' relay_idle_timeout=-1\n",
        [
            (2, "databases", "d", "the value of relay is not one of 1, on, yes, true, 0, off, no, false"),
            (2, "databases", "d", "the value of relay_shard is empty"),
            (
                2,
                "databases",
                "d",
                'the value of relay_idle_timeout is not a duration in seconds (such as "5", "0.2" or "5 ms")',
            ),
        ],
    ),
    (
        "[databases]\nd = host=h relay_idle_timeout=86401\n",
        [(2, "databases", "d", "the value of relay_idle_timeout is not between 0 and 86400 seconds")],
    ),
    (
        "[databases]\nd = host=h shards=app0 relay_shard=app1\n[shards]\napp0 = host=1\n",
        [(2, "databases", "d", 'relay_shard is not a shard of this database; did you mean "app0"?')],
    ),
    (
        "[databases]\nd = host=h relay_shard=a\ne = shards=a\n[shards]\na = host=1\n",
        [(2, "databases", "d", "relay_shard is not a shard of this database")],
    ),
    (
        "[databases]\nd = host=h relay=off relay_shard=d relay_idle_timeout=5\n",
        [
            (2, "databases", "d", "relay_shard has no effect where relay is off"),
            (2, "databases", "d", "relay_idle_timeout has no effect where relay is off"),
        ],
    ),
    (
        "[databases]\nd = shards=a relay=off relay_shard=a\n[shards]\na = host=1\n",
        [(2, "databases", "d", "relay_shard has no effect where relay is off")],
    ),
    *(
        (
            f"[databases]\nd = port=1 shards=a {word}={value}\n[shards]\na = host=1\n",
            [(2, "databases", "d", f"{word} {NOWHERE}")],
        )
        for word, value in (("relay", "on"), ("relay_shard", "a"), ("relay_idle_timeout", "5"))
    ),
    # What relay_shard should be is not known where shards= is wrong.
    (
        "[databases]\nd = host=h sharsd=a relay_shard=a\n[shards]\na = host=1\n",
        [(2, "databases", "d", 'unknown keyword "sharsd"; did you mean "shards"?')],
    ),
    (
        "[databases]\nd = host=h shards=a relay_shard=a\n",
        [(2, "databases", "d", 'shard "a" is not in [shards]')],
    ),
    (
        "[databases]\nd = shards=a embedded=x relay=on\n[shards]\na = host=h\n",
        [(2, "databases", "d", "embedded and shards exclude each other")],
    ),
    # A line that is broken may have used the shard.
    (
        "[databases]\nd = hots=x sharsd=a\n[shards]\na = host=1\n",
        [
            (2, "databases", "d", 'unknown keyword "hots"; did you mean "host"?'),
            (2, "databases", "d", 'unknown keyword "sharsd"; did you mean "shards"?'),
        ],
    ),
]


def said_of(text: str) -> list[Said]:
    """Return what is said of a text behind the head, its lines counted from there."""
    problems = problems_of(HEAD + text)
    assert {problem.file for problem in problems} == {"etc/config.ini"}
    return [(problem.line - HEAD_LINES, problem.section, problem.key, problem.message) for problem in problems]


def error_of(text: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(text, "etc/config.ini")
    return caught.value


def problems_of(text: str) -> tuple[Problem, ...]:
    return error_of(text).problems


@pytest.mark.parametrize(("text", "said"), BAD_FILES)
def test_bad_file_is_told_with_its_place(text: str, said: Sequence[Said]) -> None:
    assert said_of(text) == list(said)


def test_line_in_front_of_the_first_section_is_told() -> None:
    problem = Problem("etc/config.ini", 1, None, None, "this line stands in front of the first section")
    assert problems_of(f"x = 1\n{HEAD}{DATABASE}") == (problem,)


def test_all_problems_are_told_at_once_in_the_order_of_lines() -> None:
    text = "\n".join(bad for bad, _ in BAD_FILES)
    lines = [problem.line for problem in problems_of(text)]
    assert len(lines) > len(BAD_FILES)
    assert lines == sorted(lines)


def test_one_file_with_problems_in_every_section() -> None:
    text = (
        "[twistnotify]\nlisten_port = x\nlisten_prot = 1\nauth_type = trust\n"
        "[databases]\nd = hots=1\n[shards]\na = shards=b\nnonsense\n[other]\n"
    )
    assert [(problem.line, problem.section, problem.key) for problem in problems_of(text)] == [
        (2, "twistnotify", "listen_port"),
        (3, "twistnotify", "listen_prot"),
        (6, "databases", "d"),
        (8, "shards", "a"),
        (9, "shards", None),
        (10, None, None),
    ]


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            Problem("etc/config.ini", 12, "twistnotify", "listen_port", '"64x33" is not a whole number'),
            'etc/config.ini:12: [twistnotify] listen_port: "64x33" is not a whole number',
        ),
        (Problem("x.ini", 3, "shards", None, "wrong"), "x.ini:3: [shards]: wrong"),
        (Problem("x.ini", 3, None, None, "wrong"), "x.ini:3: wrong"),
        (Problem("x.ini", 0, "twistnotify", "auth_file", "wrong"), "x.ini: [twistnotify] auth_file: wrong"),
    ],
)
def test_problem_is_one_line_for_the_log(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_error_as_text_is_a_line_for_each_problem() -> None:
    error = ConfigurationError((Problem("x", 1, None, None, "a"), Problem("x", 2, "shards", "s", "b")))
    assert str(error) == "x:1: a\nx:2: [shards] s: b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("64x33", '"64x33"'),
        ("", '""'),
        ("é\t\x1b[0m\u2028", '"é\\t\\x1b[0m\\u2028"'),
        ("x" * 60, f'"{"x" * 60}"'),
        ("x" * 61, f'"{"x" * 60}..."'),
        ("1 password = hunter2", '"..."'),
        ("postgres://u:hunter2@h", '"..."'),
    ],
)
def test_value_is_shown_printable_short_and_without_secrets(text: str, shown: str) -> None:
    assert quoted(text) == shown


@pytest.mark.parametrize(("name", "text"), [("hots", '; did you mean "host"?'), ("zzz", ""), ("", "")])
def test_near_name_is_suggested(name: str, text: str) -> None:
    assert suggestion(name, ["host", "port"]) == text


@pytest.mark.parametrize(
    "line",
    [
        "password=hunter2 hots=x",
        "password='hunter2' port=x",
        "password='hunter2",
        "password='hunter2'hunter2",
        "password=it hunter2",
        "password=it hunter2 again",
        "password=it hunter2=x",
        "password=it hunter2=x hunter2",
        "password=it hunter2= hunter2=",
        "pasword=hunter2",
        "pasword=it hunter2=x",
        "password=hunter2 password=hunter2",
        "postgres://u:hunter2@h/d",
        "postgresql://u:hunter2@h/d?sslmode=x",
        "http://u:hunter2@h/d?sslmode=x",
        "embedded=x host=y password=hunter2",
        "password=hunter2\x00",
    ],
)
@pytest.mark.parametrize(
    "frame",
    [
        HEAD + "[databases]\nd = {}\n",
        HEAD + "[databases]\nd = shards=a\n[shards]\na = {}\n",
        HEAD + "[databases]\nd! = {}\n",
        HEAD + "[databases]\n{}\n",
        HEAD + "[channels]\nc = {}\n" + DATABASE,
        HEAD + "[groups]\ng = {},@\n" + DATABASE,
        HEAD + "{}\n" + DATABASE,
        HEAD + "listen_port = {}\n" + DATABASE,
        "{}\n" + HEAD + DATABASE,
    ],
)
def test_password_is_never_in_a_message(frame: str, line: str) -> None:
    error = error_of(frame.format(line))
    assert "hunter2" not in f"{error} {error!r}"


def test_value_of_a_connection_line_is_never_in_a_message() -> None:
    connections = ("port", "sslmode", "target_session_attrs", "zzz")
    own = ("listen_ack", "notify_ack", "relay", "relay_shard", "relay_idle_timeout")
    for keyword in connections + own:
        assert "hunter2" not in str(said_of(f"[databases]\nd = {keyword}=hunter2\n"))


@settings(deadline=None)
@given(st.text() | st.text(alphabet="[]=;#' \n\\,adehostrs123"))
def test_any_text_is_a_configuration_or_a_configuration_error(text: str) -> None:
    for whole in (
        text,
        f"{HEAD}[databases]\nd = {text}",
        f"{HEAD}{text}\n{DATABASE}",
        f"{HEAD}[shards]\n{text}\n{DATABASE}",
        f"{HEAD}[channels]\n{text} = listen={text}\n{DATABASE}",
        f"{HEAD}[groups]\n{text}\n{DATABASE}",
    ):
        with contextlib.suppress(ConfigurationError):
            load(whole, "x.ini")


@settings(deadline=None)
@given(st.lists(st.sampled_from("\n".join(text for text, _ in BAD_FILES).split("\n")), max_size=20))
def test_any_mix_of_bad_lines_is_told_with_lines_that_are_there(lines: list[str]) -> None:
    # The last line makes sure that there is something to tell.
    error = error_of("\n".join([*lines, "["]))
    assert all(1 <= problem.line <= len(lines) + 1 for problem in error.problems)
    assert str(error).count("\n") == len(error.problems) - 1
