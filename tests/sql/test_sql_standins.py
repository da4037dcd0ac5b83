"""What takes a statement's place is one statement of SQL, whatever the names and values in it are."""

from typing import Any

import pytest
from pglast import ast, parse_plpgsql, parse_sql

from twistnotify.sql import standins
from twistnotify.sql.quoting import quote_anyhow
from twistnotify.sql.statements import Listen, Notify, Parameter, Unlisten

NASTY = ["plain", "it's", 'double"quote', "semi;colon", "$1", "$$", "-- x", "back\\slash", "é 日本", "a' || 'b", ""]
STAND_IN = standins.unlisten_statement("gone")


def tree_of(sql: str) -> Any:
    (tree,) = parse_sql(sql)
    return tree.stmt


def target_of(sql: str) -> Any:
    """Return the only column of a SELECT without FROM."""
    tree = tree_of(sql)
    assert isinstance(tree, ast.SelectStmt)
    assert tree.fromClause is None
    (target,) = tree.targetList
    return target


def body_of(sql: str) -> str:
    """Return the text of a DO block, which plpgsql can read."""
    tree = tree_of(sql)
    assert isinstance(tree, ast.DoStmt)
    (body,) = tree.args
    assert parse_plpgsql(f"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $body${body.arg.sval}$body$")
    return str(body.arg.sval)


def literals(node: Any) -> list[str]:
    """Return the strings in a tree, in order."""
    if isinstance(node, ast.A_Const):
        return [node.val.sval] if isinstance(node.val, ast.String) else []
    if isinstance(node, tuple):
        return [text for each in node for text in literals(each)]
    if isinstance(node, ast.Node):
        return [text for name in node for text in literals(getattr(node, name))]
    return []


@pytest.mark.parametrize("name", NASTY[:-1])
def test_unlisten_names_its_channel(name: str) -> None:
    tree = tree_of(standins.unlisten_statement(name))
    assert (type(tree), tree.conditionname) == (ast.UnlistenStmt, name)


def test_unlisten_of_nothing_in_particular_is_of_all() -> None:
    assert tree_of(standins.unlisten_statement(None)).conditionname is None


@pytest.mark.parametrize("column", NASTY[:-1])
def test_a_select_names_its_column_as_the_statement_did(column: str) -> None:
    texts = (
        standins.select_int4(1, column),
        standins.select_true(column),
        standins.select_text("x", column),
        standins.select_texts(["x"], column),
        standins.select_checked_notify("a", "b", column),
    )
    assert [target_of(sql).name for sql in texts] == [column] * len(texts)


def test_values_are_constants_of_their_type() -> None:
    assert target_of(standins.select_int4(2**31 - 1, "c")).val.val.ival == 2**31 - 1
    assert target_of(standins.select_true("c")).val.val.boolval
    cast = target_of(standins.select_text("x", "c")).val
    assert [name.sval for name in cast.typeName.names] == ["pg_catalog", "text"]


@pytest.mark.parametrize("value", NASTY)
def test_a_text_is_itself_whatever_is_in_it(value: str) -> None:
    assert literals(target_of(standins.select_text(value, "c"))) == [value]


@pytest.mark.parametrize("values", [[], NASTY])
def test_texts_are_the_elements_of_an_array(values: list[str]) -> None:
    call = target_of(standins.select_texts(values, "c")).val
    assert [name.sval for name in call.funcname] == ["pg_catalog", "unnest"]
    assert literals(call) == values


@pytest.mark.parametrize("value", NASTY)
def test_pg_notify_is_called_with_its_own_arguments(value: str) -> None:
    choice = target_of(standins.select_checked_notify(value, value, "c")).val
    assert isinstance(choice, ast.CaseExpr)
    (when,) = choice.args
    assert [name.sval for name in when.result.funcname] == ["pg_catalog", "pg_notify"]
    assert literals(when.result.args) == [value, value]


def test_arguments_may_be_parameters_and_null() -> None:
    when = target_of(standins.select_checked_notify(Parameter(2), None, "c")).val.args[0]
    parameter, null = when.result.args
    assert (parameter.number, null.isnull) == (2, True)


@pytest.mark.parametrize("message", [*NASTY, "a\n%"])
@pytest.mark.parametrize("hint", [None, "it's so"])
def test_an_error_is_raised_by_a_block(message: str, hint: str | None) -> None:
    body = body_of(standins.raise_error("42501", message, hint))
    assert "ERRCODE='42501'" in body
    assert f"MESSAGE={quote_anyhow(message)}" in body
    assert ("HINT='it''s so'" in body) is (hint is not None)


def test_statements_of_a_block_keep_their_order_and_are_stood_for_one_by_one() -> None:
    body = body_of(
        standins.do_statements(
            [
                (Listen("a"), STAND_IN),
                (Notify("b;'", 'it\'s "x"'), None),
                (Notify("c", ""), STAND_IN),
                (Unlisten(None), None),
                (Unlisten('d"'), None),
                (Listen("e"), None),
            ]
        )
    )
    statements = body.removeprefix("BEGIN ").removesuffix(" END")
    assert [type(tree.stmt) for tree in parse_sql(statements)] == [
        ast.UnlistenStmt,
        ast.NotifyStmt,
        ast.UnlistenStmt,
        ast.UnlistenStmt,
        ast.UnlistenStmt,
        ast.ListenStmt,
    ]
    assert [tree.stmt.conditionname for tree in parse_sql(statements)] == ["gone", "b;'", "gone", None, 'd"', "e"]


@pytest.mark.parametrize("sql", [standins.select_text, standins.select_texts])
def test_a_name_with_nul_is_no_sql(sql: Any) -> None:
    with pytest.raises(ValueError, match="NUL"):
        sql("x", "a\0b")
