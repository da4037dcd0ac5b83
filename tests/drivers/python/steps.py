"""What the Python programs share: the steps in their order, a deadline for each, and a line for each."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import Any

STEPS = (
    "connect",
    "listen",
    "receive",
    "own_pid",
    "transaction",
    "errors",
    "prepared",
    "cancel",
    "large",
    "copy",
    "reconnect",
)
DEADLINE = 60.0
"""Seconds for a step."""

Errors = type[BaseException] | tuple[type[BaseException], ...]


def run(program: Callable[[], Any], *extra: str) -> None:
    """Do the steps, with fresh connections after one that failed; exit with status 1 where one failed."""
    attempt = _attempts_async() if inspect.iscoroutinefunction(program().connect) else _Attempts()
    driver, failures = None, 0
    for step in (*STEPS, *extra):
        try:
            if driver is None:
                driver = _begun(program(), attempt, step)
            attempt(getattr(driver, step))
            line = f"ok {step}"
        except Exception as error:
            line = f"FAILED {step}: {_reason(error)}"
            driver, failures = None, failures + 1
        print(line, flush=True)
    # Not sys.exit: a step that overran may have a thread that never ends.
    os._exit(1 if failures else 0)


def same(actual: object, expected: object) -> None:
    """Fail unless the two are equal."""
    if actual != expected:
        raise AssertionError(f"{actual!r:.200} instead of {expected!r:.200}")


def fails(errors: Errors, work: Callable[..., object], *arguments: object) -> Any:
    """Return the error that a call ends with."""
    try:
        work(*arguments)
    except errors as error:
        return error
    raise AssertionError("there was no error")


async def fails_async(errors: Errors, work: Awaitable[object]) -> Any:
    """Return the error that a coroutine ends with."""
    try:
        await work
    except errors as error:
        return error
    raise AssertionError("there was no error")


def in_background(work: Callable[..., object], *arguments: object) -> Future[Any]:
    """Call in a thread that the end of the program does not wait for."""
    future: Future[Any] = Future()

    def call() -> None:
        try:
            future.set_result(work(*arguments))
        except Exception as error:
            future.set_exception(error)

    Thread(target=call, daemon=True).start()
    return future


def _begun(driver: Any, attempt: Callable[[Any], None], step: str) -> Any:
    """Bring a new program to where a step begins."""
    if step != "connect":
        attempt(driver.connect)
    if step not in ("connect", "listen"):
        attempt(driver.listen)
    return driver


class _Attempts:
    """Call steps in one thread, since some drivers give each thread connections of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)

    def __call__(self, step: Callable[[], None]) -> None:
        try:
            self._thread.submit(step).result(DEADLINE)
        except TimeoutError:
            self._thread = ThreadPoolExecutor(max_workers=1)
            raise


def _attempts_async() -> Callable[[Any], None]:
    loop = asyncio.Runner()
    return lambda step: loop.run(asyncio.wait_for(step(), DEADLINE))


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split()) or f'no end after {DEADLINE:.0f} s'}"
