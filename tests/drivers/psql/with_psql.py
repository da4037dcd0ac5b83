"""psql at a terminal: typed to line by line; shows notifications after each command."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import termios

import sql
from steps import run, same

HEARD = re.compile(r'notification "\w+" with payload "(.*)" received from server process with PID (\d+)')
PROMPT = re.compile(r"^prompt (-?\d+)\n", re.MULTILINE)
ARGUMENTS = ["-X", "-q", "-A", "-t", "-n", "-v", "PROMPT1=prompt %p\n", "-v", "VERBOSITY=sqlstate", "-P", "pager=off"]


class Terminal:
    """A psql that believes to be used by a person."""

    def __init__(self) -> None:
        self._screen, keyboard = pty.openpty()
        _be_plain(keyboard)
        self._process = subprocess.Popen(
            ["psql", *ARGUMENTS],
            stdin=keyboard,
            stdout=keyboard,
            stderr=keyboard,
        )
        os.close(keyboard)
        self._shown = ""
        self.pid = 0
        self.answer()

    def type(self, line: str) -> str:
        """Type a line; return what is shown up to the next prompt."""
        self.send(line)
        return self.answer()

    def send(self, line: str) -> None:
        """Type a line."""
        os.write(self._screen, f"{line}\n".encode())

    def answer(self) -> str:
        """Return what is shown up to the next prompt, which names the PID of the connection."""
        while not (prompt := PROMPT.search(self._shown)):
            self._shown += os.read(self._screen, 65536).decode()
        answer, self._shown = self._shown[: prompt.start()], self._shown[prompt.end() :]
        self.pid = int(prompt[1])
        return answer.strip()

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)


class Psql:
    """A terminal that listens; the other connection is a psql that runs one statement."""

    def connect(self) -> None:
        """Connect with libpq's environment variables."""
        self.mine = Terminal()
        same(self.mine.type("SELECT 1;"), "1")

    def listen(self) -> None:
        """LISTEN."""
        same(self.mine.type(f"{sql.LISTEN};"), "")

    def receive(self) -> None:
        """Hear the other connection."""
        _other(sql.notify("hello"))
        same(self._heard()[1], "hello")

    def own_pid(self) -> None:
        """Hear oneself, before the next prompt."""
        same(_notification(self.mine.type(f"{sql.notify('own')};")), (self.mine.pid, "own"))

    def transaction(self) -> None:
        """Roll back, which nobody hears, and commit."""
        _other(sql.CREATE_TABLE)
        for number, end in ((1, "ROLLBACK"), (2, "COMMIT")):
            for statement in ("BEGIN", sql.insert(number), sql.notify(f"row {number}")):
                same(self.mine.type(f"{statement};"), "")
            answer = self.mine.type(f"{end};")
        same(_notification(answer), (self.mine.pid, "row 2"))
        same(_other(sql.ROWS), "2")
        _other(sql.DROP_TABLE)

    def errors(self) -> None:
        """Recover from a syntax error, and from a failed transaction."""
        same(self.mine.type(f"{sql.SYNTAX_ERROR};"), "ERROR:  42601")
        self.mine.type("BEGIN;")
        same(self.mine.type(f"{sql.DIVISION_BY_ZERO};"), "ERROR:  22012")
        same(self.mine.type("SELECT 1;"), "ERROR:  25P02")
        self.mine.type("ROLLBACK;")
        same(self.mine.type("SELECT 2;"), "2")

    def prepared(self) -> None:
        """Prepare with SQL."""
        self.mine.type("PREPARE plus_one (int) AS SELECT $1 + 1;")
        for number in range(sql.TIMES):
            same(self.mine.type(f"EXECUTE plus_one ({number});"), str(number + 1))
        same(self.mine.type(f"{sql.NAMED};"), "t")
        self.mine.type("DEALLOCATE plus_one;")

    def cancel(self) -> None:
        """Press Ctrl-C."""
        self.mine.send(f"{sql.SLEEP};")
        _other(sql.UNTIL_SLEEPING)
        self.mine.interrupt()
        same(self.mine.answer().splitlines()[-1], "ERROR:  57014")
        same(self.mine.type("SELECT 3;"), "3")

    def large(self) -> None:
        """Fetch many rows, and a large value, into a pipe."""
        same(self.mine.type(rf"{sql.LARGE_ROWS} \g |tail -n 1"), f"{sql.LARGE_COUNT}|row {sql.LARGE_COUNT}")
        same(self.mine.type(rf"{sql.LARGE_VALUE} \g |wc -c"), str(sql.LARGE_SIZE + 1))

    def copy(self) -> None:
        """Copy in from a program, and out to another."""
        self.mine.type(f"{sql.COPY_TABLE};")
        self.mine.type(rf"\copy copied FROM PROGRAM 'seq {sql.COPY_COUNT} | sed s/$/,word/' WITH (FORMAT csv)")
        same(self.mine.type(r"\copy copied TO PROGRAM 'tail -n 1'"), f"{sql.COPY_COUNT}\tword")

    def reconnect(self) -> None:
        """Lose the connection, and hear again on the next one, which psql makes by itself."""
        before = self.mine.pid
        same(_other(sql.terminate(before)), "t")
        same("57P01" in self.mine.type("SELECT 1;"), True)
        self.listen()
        same(self.mine.pid != before, True)
        self.receive()

    def describe(self) -> None:
        """Have psql ask the catalogue."""
        _other(sql.CREATE_TABLE)
        same("id|integer" in self.mine.type(rf"\d {sql.NAME}"), True)
        _other(sql.DROP_TABLE)

    def _heard(self) -> tuple[int, str]:
        """Type empty commands until the next notification is shown."""
        while not HEARD.search(answer := self.mine.type(";")):
            pass
        return _notification(answer)


def _be_plain(terminal: int) -> None:
    """Let the terminal neither show what is typed nor end lines in its own way."""
    attributes = termios.tcgetattr(terminal)
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def _other(statement: str) -> str:
    """Run a statement on a connection of its own."""
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-c", statement], capture_output=True, text=True)
    same((done.returncode, done.stderr), (0, ""))
    return done.stdout.strip()


def _notification(answer: str) -> tuple[int, str]:
    heard = HEARD.search(answer)
    if heard is None:
        raise AssertionError(f"no notification in {answer!r:.200}")
    return int(heard[2]), heard[1]


if __name__ == "__main__":
    run(Psql, "describe")
