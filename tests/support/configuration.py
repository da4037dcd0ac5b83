"""Configurations for servers under test."""

from __future__ import annotations

from support.postgres import PostgresServer


def config_for(postgres: PostgresServer, shards: int = 1, **settings: object) -> str:
    """Return a configuration: database `postgres` on one shard, or `app` on app0, app1 ... on the same server.

    The port is the system's choice.
    """
    values: dict[str, object] = {
        "listen_addr": "127.0.0.1",
        "listen_port": 0,
        "auth_type": "trust",
        **settings,
    }
    lines = ["[twistnotify]", *(f"{name} = {value}" for name, value in values.items()), "[databases]"]
    if shards == 1:
        return "\n".join([*lines, f"postgres = {postgres.dsn()}", ""])
    names = [f"app{number}" for number in range(shards)]
    lines.append(f"app = shards={','.join(names)}")
    lines += ["[shards]", *(f"{name} = {postgres.dsn(name)}" for name in names), ""]
    return "\n".join(lines)
