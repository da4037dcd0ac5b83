"""Configurations for servers under test."""

from __future__ import annotations

from collections.abc import Mapping

from support.postgres import PostgresServer


def config_for(
    postgres: PostgresServer, shards: int = 1, databases: Mapping[str, str] | None = None, **settings: object
) -> str:
    """Return a configuration: database `postgres` on one shard, or `app` on app0, app1 ... on the same server.

    `databases` are lines that take the place of that one; those that are spread name the same shards, or the only one,
    `postgres`. The port is the system's choice.
    """
    names = [f"app{number}" for number in range(shards)] if shards > 1 else ["postgres"]
    if databases is None:
        databases = {"app": f"shards={','.join(names)}"} if shards > 1 else {"postgres": postgres.dsn()}
    values: dict[str, object] = {
        "listen_addr": "127.0.0.1",
        "listen_port": 0,
        "auth_type": "trust",
        **settings,
    }
    lines = ["[twistnotify]", *_assignments(values), "[databases]", *_assignments(databases)]
    if any("shards=" in line for line in databases.values()):
        lines += ["[shards]", *_assignments({name: postgres.dsn(name) for name in names})]
    return "\n".join([*lines, ""])


def _assignments(values: Mapping[str, object]) -> list[str]:
    return [f"{name} = {value}" for name, value in values.items()]
