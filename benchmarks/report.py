"""The table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.measure import Result
from benchmarks.servers import Target
from benchmarks.workers import Outcome
from benchmarks.works import AT_REST, BURST, CHANNELS, ONE_TO_ALL, PIPELINED, SETUP, WAITING

Results = Mapping[tuple[str, str], Result]
"""By work and by target."""

BUSY = 0.9
"""Share of a core from which on the generator may have been what was measured."""
OURS = "twistnotify"
LABEL_WIDTH = 52
COLUMN_WIDTH = 15


@dataclass(frozen=True, slots=True)
class Row:
    """Describe a line of the table: which work, which figure of it, and what the generator did meanwhile."""

    work: str
    label: str
    figure: Callable[[Result], float | None]
    digits: int = 0
    generator: Callable[[Result], Outcome] | None = None


def _load(result: Result) -> Outcome:
    return result.load


def _login(result: Result) -> Outcome:
    return result.login


MORE_IS_BETTER = (
    Row(BURST, "deliveries/s, one channel, burst", lambda r: r.per_second, 0, _load),
    Row(CHANNELS, "deliveries/s, 10 channels, 4 publishers", lambda r: r.per_second, 0, _load),
    Row(PIPELINED, "publishes/s, 8 pipelining publishers", lambda r: r.per_second, 0, _load),
    Row(WAITING, "publishes/s, 8 publishers, each awaits its answer", lambda r: r.per_second, 0, _load),
    Row(SETUP, "log-in and LISTEN/s", lambda r: r.logins_per_second, 0, _login),
)
LESS_IS_BETTER = (
    Row(AT_REST, "latency at rest, p50, us", lambda r: r.latency(0.5)),
    Row(AT_REST, "latency at rest, p99, us", lambda r: r.latency(0.99)),
    Row(ONE_TO_ALL, "one message to all listeners, p50, us", lambda r: r.latency(0.5)),
    Row(ONE_TO_ALL, "one message to all listeners, p99, us", lambda r: r.latency(0.99)),
    Row(BURST, "server CPU a delivery, burst, us", lambda r: r.cpu_per_delivery, 2),
    Row(CHANNELS, "server CPU a delivery, 10 channels, us", lambda r: r.cpu_per_delivery, 2),
    Row(ONE_TO_ALL, "server CPU a delivery, one message to all, us", lambda r: r.cpu_per_delivery, 2),
    Row(PIPELINED, "server CPU a publish, pipelined, us", lambda r: r.cpu_per_delivery, 2),
    Row(SETUP, "memory a listening client, kB", lambda r: None if r.memory is None else r.memory / 1000, 1),
    Row(BURST, "PostgreSQL backends in use, burst", lambda r: r.backends),
)
SIZES = (
    Row(BURST, "listeners", lambda r: r.work.listeners),
    Row(SETUP, "listeners, for log-in and memory", lambda r: r.work.listeners),
)
BEHIND = (BURST, CHANNELS, ONE_TO_ALL, PIPELINED)


def report(results: Results, targets: Sequence[Target], about: str) -> str:
    """Return the table, what it was measured with, and how to read it."""
    names = [target.name for target in targets]
    others = [name for name in names if name != OURS]
    lines = [
        about,
        "",
        _line("", [*names, *(f"/ {name}" for name in others)]),
        _line("", [*(target.version for target in targets)]),
        *(_row(row, results, names, []) for row in SIZES),
        "more is better",
        *(_row(row, results, names, others) for row in MORE_IS_BETTER),
        "less is better",
        *(_row(row, results, names, others) for row in LESS_IS_BETTER),
        "",
        *_notes(results, names),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _line(label: str, cells: Iterable[str]) -> str:
    return f"{label:<{LABEL_WIDTH}}" + "".join(f"{cell:>{COLUMN_WIDTH}}" for cell in cells)


def _row(row: Row, results: Results, names: Sequence[str], others: Sequence[str]) -> str:
    figures = {name: row.figure(results[row.work, name]) for name in names}
    cells = [_cell(row, results[row.work, name], figures[name]) for name in names]
    ratios = [_ratio(figures[OURS], figures[name]) for name in others]
    return _line(f"  {row.label}", [*cells, *ratios])


def _cell(row: Row, result: Result, figure: float | None) -> str:
    if figure is None:
        return "-"
    mark = ">" if row.generator is not None and row.generator(result).busy >= BUSY else ""
    return f"{mark}{figure:,.{row.digits}f}"


def _ratio(ours: float | None, other: float | None) -> str:
    if not other or ours is None:
        return "-"
    ratio = ours / other
    if ratio >= 10:
        return f"{ratio:,.0f}"
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"


def _notes(results: Results, names: Sequence[str]) -> list[str]:
    behind = ", ".join(f"{results[work, OURS].cpu_behind_per_delivery:.2f} ({work})" for work in BEHIND)
    notes = [
        "Every message arrived everywhere, once and in order. The last columns are twistnotify / the other.",
        "PostgreSQL has max_connections = 500, hence fewer listeners and messages; fsync is off, in its favour.",
        "Memory is resident; pages that processes share count once (Pss).",
        f"CPU is that of the server's own processes. PostgreSQL behind {OURS} adds, in us: {behind}.",
    ]
    limited = [
        f"{name} in {work} ({result.load.busy:.0%})"
        for (work, name), result in results.items()
        if result.load.published and result.load.busy >= BUSY
    ]
    limited += [
        f"{name} in log-in ({results[SETUP, name].login.busy:.0%})"
        for name in names
        if results[SETUP, name].login.busy >= BUSY
    ]
    if limited:
        notes.append("> The generator was the limit, the server can do more: " + ", ".join(limited) + ".")
    return notes
