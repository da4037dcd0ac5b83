"""LISTEN, UNLISTEN and NOTIFY by simple queries, on one connection."""

from parity.dialogue import Dialogues, Stage

DIALOGUES = Dialogues()


@DIALOGUES
def own_notification_stands_before_ready(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("NOTIFY x").query("NOTIFY x, 'payload'").query("UNLISTEN x").query("NOTIFY x")


@DIALOGUES
def notify_without_a_listener(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("NOTIFY nobody").query("NOTIFY nobody, 'x'").query("SELECT pg_notify('nobody', 'y')")


@DIALOGUES
def listen_and_notify_in_one_query(stage: Stage) -> None:
    stage.connect("a").query("LISTEN q; NOTIFY q").query("NOTIFY q, 'again'")


@DIALOGUES
def notify_then_listen_in_one_query(stage: Stage) -> None:
    stage.connect("a").query("NOTIFY q, 'first'; LISTEN q").query("SELECT 1")


@DIALOGUES
def notify_and_unlisten_in_one_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN q").query("NOTIFY q; UNLISTEN q").query("SELECT 1")
    a.query("LISTEN q").query("UNLISTEN q; NOTIFY q").query("SELECT 1")
    a.query("LISTEN q").query("NOTIFY q; UNLISTEN *").query("SELECT 1")


@DIALOGUES
def unlisten_then_listen_in_one_query(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN q").query("UNLISTEN q; LISTEN q").query("NOTIFY q")
    a.query("UNLISTEN q; NOTIFY q, 'between'; LISTEN q").query("SELECT 1")


@DIALOGUES
def listening_twice_delivers_once(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("LISTEN x").query('LISTEN "x"; LISTEN X').query("NOTIFY x")
    a.query("UNLISTEN x").query("NOTIFY x")


@DIALOGUES
def unlisten_of_what_is_not_listened_to(stage: Stage) -> None:
    stage.connect("a").query("UNLISTEN never").query("UNLISTEN *").query('UNLISTEN "*"')


@DIALOGUES
def unlisten_all_and_the_channel_named_star(stage: Stage) -> None:
    a = stage.connect("a")
    a.query('LISTEN x; LISTEN y; LISTEN "*"').query('UNLISTEN "*"')
    a.query("""NOTIFY x; NOTIFY y; NOTIFY "*" """).query("UNLISTEN *").query('NOTIFY x; NOTIFY y; NOTIFY "*"')


@DIALOGUES
def pending_actions_apply_in_order(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x; UNLISTEN *").query("SELECT pg_listening_channels()")
    a.query("UNLISTEN *; LISTEN x").query("SELECT pg_listening_channels()")


@DIALOGUES
def duplicates_in_one_query_are_dropped(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN a; LISTEN b")
    a.query("NOTIFY b, 'x'; NOTIFY a, 'x'; NOTIFY b, 'x'; NOTIFY a, 'y'")
    a.query("NOTIFY a; NOTIFY a, ''; SELECT pg_notify('a', NULL); SELECT pg_notify('a', '')")
    a.query("SELECT pg_notify('b', 'x'); NOTIFY a, 'x'; NOTIFY b, 'x'")


@DIALOGUES
def duplicates_of_two_queries_are_kept(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN a").query("NOTIFY a, 'x'").query("NOTIFY a, 'x'")


@DIALOGUES
def duplicates_of_two_transactions_in_one_query_are_kept(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN a").query("BEGIN; NOTIFY a; COMMIT; NOTIFY a")
    a.query("NOTIFY a; COMMIT; NOTIFY a; COMMIT; NOTIFY a")
    a.query("BEGIN; NOTIFY a; COMMIT AND CHAIN; NOTIFY a; COMMIT")


@DIALOGUES
def many_notifications_of_one_query_in_order(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN a; LISTEN b; LISTEN c")
    a.query("; ".join(f"NOTIFY {'abc'[n % 3]}, '{n % 100}'" for n in range(500)))


@DIALOGUES
def empty_queries(stage: Stage) -> None:
    a = stage.connect("a")
    for sql in ("", ";", ";;;", "   \n\t", "-- comment", "/* a /* nested */ one */", "-- x\n;/* y */;"):
        a.query(sql)


@DIALOGUES
def empty_statements_between_others_yield_nothing(stage: Stage) -> None:
    a = stage.connect("a")
    a.query(";;LISTEN x;;").query("; NOTIFY x ;;/* c */; NOTIFY x, '2' -- end").query("NOTIFY x;")


@DIALOGUES
def comments_and_white_space_anywhere(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("/* one */ LISTEN /* two /* three */ */ x -- four").query('\n\t\r\f LISTEN\n"y z"\n;\n')
    a.query("-- first\n  NOTIFY--second\n x/**/,--third\n'p'").query('LISTEN"w"').query("LISTEN/**/v")
    a.query("NOTIFY \"y z\",'1'; NOTIFY w; NOTIFY v").query("SELECT pg_listening_channels()")


@DIALOGUES
def keywords_in_any_case(stage: Stage) -> None:
    stage.connect("a").query("listen X").query("nOtIfY x, 'P'").query("Unlisten X").query("Begin").query("end")


@DIALOGUES
def the_reset_of_asyncpg(stage: Stage) -> None:
    a = stage.connect("a")
    reset = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"
    a.query("LISTEN x").query(reset).query("NOTIFY x").query(reset)


@DIALOGUES
def discard_all_ends_listening(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("DISCARD ALL").query("NOTIFY x").query("SELECT pg_listening_channels()")


@DIALOGUES
def discard_all_is_refused_in_a_block(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("BEGIN").query("DISCARD ALL").query("ROLLBACK").query("NOTIFY x")
    a.query("NOTIFY x, 'lost'; DISCARD ALL").query("DISCARD ALL; NOTIFY x, 'lost too'").query("NOTIFY x, 'still'")


@DIALOGUES
def resets_keep_listening(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x").query("RESET ALL").query("CLOSE ALL").query("DEALLOCATE ALL").query("DEALLOCATE PREPARE ALL")
    a.query("NOTIFY x").query("BEGIN; RESET ALL; CLOSE ALL; DEALLOCATE ALL; COMMIT")


@DIALOGUES
def do_block_of_listens(stage: Stage) -> None:
    a = stage.connect("a")
    a.query('DO $$BEGIN LISTEN "a"; LISTEN "b"; END$$').query("NOTIFY a; NOTIFY b")
    a.query("SELECT pg_listening_channels()")
    a.query("DO 'BEGIN UNLISTEN a; NOTIFY b, ''x''; NOTIFY b, ''x''; END;'").query("NOTIFY a; NOTIFY b")
    a.query("DO LANGUAGE plpgsql $x$begin listen c; end$x$; NOTIFY c")


@DIALOGUES
def do_block_in_a_transaction(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("BEGIN").query("DO $$BEGIN LISTEN a; NOTIFY a, 'x'; END$$").query("ROLLBACK").query("NOTIFY a")
    a.query("BEGIN").query("DO $$BEGIN LISTEN a; NOTIFY a, 'x'; END$$").query("COMMIT")


@DIALOGUES
def terminate_says_nothing(stage: Stage) -> None:
    a, b = stage.connect_many("a", "b")
    a.query("LISTEN x").terminate()
    b.query("BEGIN").query("NOTIFY x").terminate()


@DIALOGUES
def own_notifications_one_by_one(stage: Stage) -> None:
    a = stage.connect("a")
    a.query("LISTEN x")
    for number in range(200):
        a.query(f"NOTIFY x, '{number}'")


@DIALOGUES
def listening_while_notifications_are_under_way(stage: Stage) -> None:
    a = stage.connect("a")
    for number in range(50):
        a.query("NOTIFY x, 'too early'").query(f"LISTEN x; NOTIFY x, '{number}'").query("UNLISTEN *")
        a.query("NOTIFY x, 'too early'").query("BEGIN; LISTEN x; COMMIT").query("NOTIFY x").query("UNLISTEN x")
