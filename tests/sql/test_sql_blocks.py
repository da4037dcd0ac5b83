"""DO blocks of LISTEN, UNLISTEN and NOTIFY."""

from __future__ import annotations

import pytest

from twistnotify.sql.parse import MAX_STATEMENTS, parse
from twistnotify.sql.statements import DoBlock, Listen, Notify, Other, SqlSyntaxError, Unlisten


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ('DO $$BEGIN LISTEN "a.oban_x"; LISTEN "b"; END$$', (Listen("a.oban_x"), Listen("b"))),
        ("do $$ begin listen A; unlisten B; unlisten *; notify c; end; $$", None),
        ("DO LANGUAGE plpgsql $$BEGIN LISTEN a; END$$", (Listen("a"),)),
        ("DO $$BEGIN LISTEN a; END$$ LANGUAGE PLpgSQL", (Listen("a"),)),
        ("DO 'BEGIN NOTIFY a, ''x;y''; END' LANGUAGE 'plpgsql'", (Notify("a", "x;y"),)),
        ("DO E'BEGIN\\nLISTEN a;\\nEND'", (Listen("a"),)),
        ("DO $$ -- c\n BEGIN /* ; */ LISTEN a /* ; */; -- END\n END -- d\n ; /* e */$$", (Listen("a"),)),
        ("DO $x$BEGIN NOTIFY a, $$x; END$$; END$x$", (Notify("a", "x; END"),)),
        ('DO $$BEGIN LISTEN begin; LISTEN "end"; LISTEN declare; LISTEN loop; END$$', None),
        ("DO $$BEGIN LISTEN \xe9\xa0; NOTIFY \u65e5, E'\\u00e9;'; END$$", None),
        ("DO $$BEGIN LISTEN " + "a" * 64 + "; END$$", (Listen("a" * 63, "a" * 64),)),
        ("DO $$BEGIN " + "LISTEN a; " * 500 + "END$$", (Listen("a"),) * 500),
    ],
)
def test_a_block_of_channel_statements_is_theirs(text: str, statements: tuple[object, ...] | None) -> None:
    (block,) = parse(text)
    assert isinstance(block, DoBlock)
    assert statements is None or block.statements == statements


def test_the_statements_of_a_block_are_in_order() -> None:
    (block,) = parse("DO $$BEGIN LISTEN \xe9\xa0; UNLISTEN *; NOTIFY \u65e5, E'\\u00e9;'; UNLISTEN b; END$$")
    assert block == DoBlock((Listen("\xe9\xa0"), Unlisten(None), Notify("\u65e5", "\xe9;"), Unlisten("b")))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "BEGIN",
        "BEGIN END",
        ";",
        "LISTEN a;",
        "BEGIN LISTEN a END",
        "BEGIN LISTEN a;; END",
        "BEGIN; LISTEN a; END",
        "BEGIN LISTEN a; END;;",
        "BEGIN LISTEN a; END x",
        "BEGIN LISTEN a;",
        "BEGIN LISTEN a; END LISTEN b;",
        "BEGIN LISTEN a.b; END",
        "BEGIN LISTEN end; END",
        "BEGIN LISTEN a -- ; END",
        "BEGIN LISTEN 'a; END",
        "BEGIN NULL; LISTEN a; END",
        "BEGIN LISTEN a; PERFORM pg_notify('a', 'b'); END",
        "BEGIN EXECUTE 'LISTEN a'; END",
        "BEGIN IF true THEN LISTEN a; END IF; END",
        "BEGIN BEGIN LISTEN a; END; END",
        "BEGIN LISTEN a; EXCEPTION WHEN OTHERS THEN NULL; END",
        "BEGIN LISTEN a; COMMIT; END",
        "DECLARE x int; BEGIN LISTEN a; END",
        "<<l>> BEGIN LISTEN a; END l",
        "#variable_conflict error\nBEGIN LISTEN a; END",
        "BEGIN LISTEN := 1; END",
    ],
)
def test_any_other_block_is_left_to_postgresql(body: str) -> None:
    assert parse(f"DO $do${body}\n$do$") == (Other("DO"),)


@pytest.mark.parametrize(
    "text",
    [
        "DO LANGUAGE plpython3u $$BEGIN LISTEN a; END$$",
        "DO LANGUAGE 'PLPGSQL' $$BEGIN LISTEN a; END$$",
        "DO LANGUAGE plpgsql LANGUAGE plpgsql $$BEGIN LISTEN a; END$$",
        "DO $$BEGIN LISTEN a; END$$ $$BEGIN LISTEN a; END$$",
        "DO LANGUAGE plpgsql",
    ],
)
def test_a_block_in_another_language_or_given_twice_is_left_to_postgresql(text: str) -> None:
    assert parse(text) == (Other("DO"),)


def test_a_block_has_a_bound_of_statements() -> None:
    with pytest.raises(SqlSyntaxError, match="at most 10000 statements") as caught:
        parse("DO $$BEGIN " + "LISTEN a;" * (MAX_STATEMENTS + 1) + "END$$")
    assert caught.value.sqlstate == "54000"
