"""Host names to addresses, without stopping the reactor.

libpq looks names up in a blocking way, also on an asynchronous connection: with a name server that does not answer,
all clients would wait. So the addresses are looked up in a thread and given to libpq as `hostaddr`.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool

Conninfo = dict[str, str]

_PLACES = ("host", "hostaddr", "port")


def resolve(reactor: Any, conninfo: Conninfo) -> Deferred[Conninfo]:
    """Return libpq's keywords with `hostaddr` for every host that is a name.

    A name with several addresses becomes several hosts, tried in order. Fails with OSError where none is known.
    """
    if "hostaddr" in conninfo or not any(_is_name(host) for host in _listed(conninfo, "host")):
        return succeed(conninfo)
    return deferToThreadPool(reactor, reactor.getThreadPool(), _resolved, conninfo)


def rotated(conninfo: Conninfo, turns: int) -> Conninfo:
    """Return libpq's keywords with the list of hosts turned: each attempt begins with another one.

    libpq tries the hosts in order, and one that accepts and then says nothing would use up every attempt's time.
    """
    lists = {keyword: listed for keyword in _PLACES if len(listed := _listed(conninfo, keyword)) > 1}
    turned = {}
    for keyword, listed in lists.items():
        first = turns % len(listed)
        turned[keyword] = ",".join(listed[first:] + listed[:first])
    return {**conninfo, **turned}


def _resolved(conninfo: Conninfo) -> Conninfo:
    hosts = _listed(conninfo, "host")
    ports = _listed(conninfo, "port") or ["5432"]
    if len(ports) == 1:
        ports *= len(hosts)
    found = [(host, address, port) for host, port in zip(hosts, ports, strict=True) for address in _addresses(host)]
    names, addresses, places = (",".join(each) for each in zip(*found, strict=True))
    return {**conninfo, "host": names, "hostaddr": addresses, "port": places}


def _addresses(host: str) -> list[str]:
    """Return a host's addresses; a socket's folder or an address stays as it is, which libpq takes as an empty one."""
    if not _is_name(host):
        return [host if not host.startswith(("/", "@")) else ""]
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))


def _is_name(host: str) -> bool:
    if not host or host.startswith(("/", "@")):
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False


def _listed(conninfo: Conninfo, keyword: str) -> list[str]:
    return conninfo[keyword].split(",") if conninfo.get(keyword) else []
