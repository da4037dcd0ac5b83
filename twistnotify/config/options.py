"""Every setting of `[twistnotify]` and every keyword of a connection line, as rows.

The loader, `etc/config.ini` and the configuration page are all made from these tables. Names and meanings are
PgBouncer's where it has the same thing.
"""

from __future__ import annotations

from dataclasses import dataclass

from .kinds import (
    Boolean,
    Choice,
    Ciphers,
    Duration,
    Integer,
    Kind,
    Mode,
    Names,
    Networks,
    People,
    Ports,
    Size,
    Text,
    TlsVersions,
)

_KB, _MB, _GB = 1024, 1024**2, 1024**3
_DAY = 86400.0
_MS = 0.001

# Names that the console needs, PgBouncer's too, so that its tools can connect.
RESERVED_DATABASES = ("twistnotify", "pgbouncer")

_AUTH_TYPES = ("trust", "plain", "md5", "scram-sha-256", "cert", "peer", "hba")
_NO_AUTH_TYPES = ("any", "pam", "ldap")
_WHY_NOT = "is not there: any does not care who the client is, and pam and ldap need its password in the clear"
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_PATH = Text("path", optional=True)
_USERS = "SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1"
_STILL_VALID = "(valuntil IS NULL OR valuntil > pg_catalog.now())"


@dataclass(frozen=True, slots=True)
class Option:
    """Describe a setting: `default` is as in the file; `shipped` is what `etc/config.ini` says, if it says anything."""

    name: str
    kind: Kind
    default: str
    doc: str
    shipped: str | None = None


@dataclass(frozen=True, slots=True)
class Keyword:
    """Describe a `keyword=value` of a connection line."""

    name: str
    kind: Kind
    doc: str


# fmt: off
OPTIONS: tuple[Option, ...] = (
    Option("listen_addr", Text(), "127.0.0.1",
        "Address that clients connect to; 0.0.0.0 or :: is every address of the machine.",
        shipped="127.0.0.1"),
    Option("listen_port", Integer(0, 65535), "6433",
        "TCP port that clients connect to; 0 lets the system choose one. Not 6432, which a PgBouncer on the "
        "same machine has.", shipped="6433"),
    Option("listen_backlog", Integer(1, 65535), "1024",
        "Connections that the kernel holds until they are accepted. Thousands of clients reconnect at once "
        "when a network comes back."),
    Option("unix_socket_dir", _PATH, "",
        "Folder of the Unix socket that clients connect to, named .s.PGSQL. and listen_port; empty is no such socket."),
    Option("unix_socket_mode", Mode(), "0777",
        "Permissions of that socket: who of this machine can connect."),
    Option("proxy_protocol", Boolean(), "0",
        "Whether connections from proxy_protocol_from begin with a PROXY header, version 1 or 2, that says where the "
        "client really is."),
    Option("proxy_protocol_from", Networks(), "",
        "Where the proxies are that may say so; needed with proxy_protocol, since whoever is in it can claim any "
        "address."),
    Option("max_client_conn", Integer(1, 1_000_000), "10000",
        "Clients that may be connected at a time. The limit of open files has to hold this many and "
        "fd_reserve."),
    Option("max_login_conn", Integer(1, 1_000_000), "5000",
        "Connections that may be not logged in yet. One more takes the place of the one that has been silent for "
        "longest, if that is over a second, or of one of the address that has most of them; if that is its own, it "
        "is refused (53300). Thousands of clients log in at a time when a network comes back."),
    Option("fd_reserve", Integer(1, 65536), "64",
        "Open files kept from clients, so that a lost LISTEN connection can be made again when all of "
        "max_client_conn are in use."),
    Option("max_db_connections", Integer(0, 1_000_000), "0",
        "Upstream sessions of the relay that may be open at a time for one database; a statement that needs one "
        "more is refused (53300). 0 is no limit. The limit of open files has to hold them, too."),
    Option("client_login_timeout", Duration(_MS, _DAY), "15",
        "Time a client has from connecting to being logged in, waiting for a shard that was never up "
        "included."),
    Option("auth_type", Choice(_AUTH_TYPES, _NO_AUTH_TYPES, _WHY_NOT), "scram-sha-256",
        "How clients prove who they are. scram-sha-256: by a password that nobody on the way can use. md5: by an MD5 "
        "digest, from which it can be guessed, for old clients; users with a SCRAM secret still use SCRAM. plain: by "
        "the password as it is, under TLS only. cert: by a TLS certificate whose common name is the user. peer: by "
        "the user of the system, on the Unix socket only. trust: not at all, everyone is believed. hba: as "
        "auth_hba_file says for each connection.", shipped="trust"),
    Option("auth_trust_ack", Boolean(), "0",
        "Whether trust is meant even where listen_addr is not loopback: whoever can reach the port is then any user "
        "that he says he is."),
    Option("auth_file", _PATH, "",
        "File with the users and their passwords or secrets, in PgBouncer's format. It must not be readable for "
        "everybody."),
    Option("auth_hba_file", _PATH, "",
        "File with the rules of hba, in the format of pg_hba.conf as far as PgBouncer reads it."),
    Option("auth_user", Text(optional=True), "",
        "User as whom the database is asked, with auth_query, for users that auth_file does not have. It has to be "
        "allowed to read the secrets of all. Its own password, if it needs one, is in auth_file as it is."),
    Option("auth_query", Text(), f"{_USERS} AND {_STILL_VALID}",
        "Statement that finds a user and his secret; $1 is the name. The default finds nobody whose password has "
        "expired."),
    Option("auth_dbname", Text(optional=True), "",
        "Database of [databases] that is asked; empty asks the one that the client wants."),
    Option("auth_query_cache_ttl", Duration(0, _DAY), "30",
        "Time for which a secret that was found is used again. After a change, the old password may work and the "
        "new one fail for so long. 0 asks at every log-in."),
    Option("auth_query_negative_ttl", Duration(0, _DAY), "5",
        "Time for which a user that was not found is not looked for again."),
    Option("auth_fail_limit", Integer(0, 1_000_000), "10",
        "Log-ins of one user from one address that may fail within auth_fail_window; then this user is refused from "
        "there for auth_fail_block. 0 is no limit."),
    Option("auth_fail_window", Duration(_MS, _DAY), "150",
        "Time for which a failed log-in counts."),
    Option("auth_fail_block", Duration(_MS, _DAY), "120",
        "Time for which a user is refused from an address after too many failures, with the right password too."),
    # 600,000 is what OWASP advises for PBKDF2-HMAC-SHA-256; every client has to do as many at each log-in.
    Option("scram_iterations", Integer(1, 600_000), "4096",
        "Iterations of SCRAM for users whose password auth_file has as it is, and for users that do not exist, "
        "as long as no real secret shows how many are usual."),
    Option("client_tls_sslmode", Choice(_SSL_MODES), "disable",
        "TLS with clients. disable: none. allow and prefer: as the client wants. require: clients without it are "
        "refused. verify-ca and verify-full, which are the same here: the client also needs a certificate of "
        "client_tls_ca_file. Any but disable needs a key and a certificate."),
    Option("client_tls_key_file", _PATH, "",
        "File with the server's private key (PEM), without a passphrase. It must not be readable for everybody."),
    Option("client_tls_cert_file", _PATH, "",
        "File with the server's certificate (PEM), and with those between it and the root behind it."),
    Option("client_tls_ca_file", _PATH, "",
        "File with the root certificates (PEM) that certificates of clients are checked against."),
    Option("client_tls_protocols", TlsVersions(), "secure",
        "Versions of TLS. secure is 1.2 and 1.3. all and legacy begin with 1.0, but OpenSSL of today speaks 1.0 and "
        "1.1 only if the ciphers have @SECLEVEL=0 in them; both are broken."),
    Option("client_tls_ciphers", Ciphers(), "default",
        "Ciphers up to TLS 1.2; default leaves out the weak ones, all does not."),
    Option("client_tls13_ciphers", Text(), "default",
        "Ciphers of TLS 1.3, with colons between them; default is OpenSSL's choice."),
    Option("server_tls_sslmode", Choice(_SSL_MODES), "prefer",
        "sslmode of lines of [databases] and [shards] that do not have their own; none of the server_tls_ settings is "
        "for lines with embedded=. Only verify-full knows that it speaks with the right server; allow and prefer do "
        "not even insist on TLS."),
    Option("server_tls_key_file", _PATH, "",
        "sslkey of lines with neither sslkey nor sslcert."),
    Option("server_tls_cert_file", _PATH, "",
        "sslcert of lines with neither sslkey nor sslcert."),
    Option("server_tls_ca_file", _PATH, "",
        "sslrootcert of lines without one; system is the roots that the system trusts, which needs verify-full."),
    Option("server_tls_protocols", TlsVersions(), "secure",
        "Versions of TLS, as in client_tls_protocols, of lines with neither ssl_min_protocol_version nor "
        "ssl_max_protocol_version."),
    Option("server_tls_ciphers", Ciphers(), "default",
        "Ciphers of the relay up to TLS 1.2; default is Twisted's choice. LISTEN connections have libpq's "
        "choice always."),
    Option("server_tls13_ciphers", Text(), "default",
        "Ciphers of the relay for TLS 1.3, with colons between them; default is Twisted's choice."),
    Option("acl_default", Choice(("allow", "deny")), "allow",
        "Whether LISTEN and NOTIFY are allowed on channels that no line of [channels] matches. PostgreSQL itself "
        "allows every channel to everyone."),
    # A NOTIFY with the largest payload (7999 bytes) has to fit, every one of its bytes a doubled quote.
    Option("max_listen_query_size", Size(16 * _KB, _GB), "1 MB",
        "Largest message of a client that is examined for LISTEN, UNLISTEN and NOTIFY. A larger one is relayed "
        "unexamined; where the relay is off it is refused (54000). A NOTIFY with the largest payload can need "
        "16 kB."),
    Option("max_packet_size", Size(_MB, _GB), "1 GB",
        "Largest message that a client may send through the relay, which streams it and never holds it as a "
        "whole. Beyond it the client is disconnected (08P01)."),
    Option("server_connect_timeout", Duration(_MS, _DAY), "10",
        "Time a LISTEN connection has to become usable: connecting, logging in and the first LISTENs "
        "together. An upstream session of the relay has as long to be ready."),
    Option("server_login_retry", Duration(_MS, _DAY), "0.2",
        "First pause before a shard is connected to again. It doubles with every failure, with jitter, for "
        "ever."),
    Option("server_login_retry_max", Duration(_MS, _DAY), "5",
        "Longest pause before a shard is connected to again; not below server_login_retry."),
    Option("listen_check_interval", Duration(_MS, _DAY), "10",
        "Pause between two checks that a LISTEN connection still hears. TCP keepalive does not notice a "
        "server that hangs."),
    Option("listen_check_timeout", Duration(_MS, _DAY), "5",
        "Time the answer to such a check may take before the connection counts as lost."),
    Option("listen_loss_policy", Choice(("disconnect", "notice")), "disconnect",
        "What listening clients are told when a LISTEN connection was lost and notifications with it: they "
        "are disconnected (57P01), as a restart of PostgreSQL would do, or get a WARNING (01000) and a "
        "notification on twistnotify_gap."),
    Option("listen_ack", Choice(("immediate", "confirmed")), "immediate",
        "When LISTEN is answered: at once, or when PostgreSQL has confirmed it. A database may differ."),
    Option("notify_ack", Choice(("immediate", "committed")), "immediate",
        "When NOTIFY is answered: at once, or when the transaction that carried it has committed. A "
        "database may differ."),
    Option("fence_timeout", Duration(0, _DAY), "1",
        "Longest time a listener's ReadyForQuery is held for notifications that are on their way to it; 0 "
        "never holds it."),
    Option("shard_queue_size", Integer(1, 1_000_000), "4096",
        "NOTIFYs that may wait for one shard. When it is full, reading from the clients that send more "
        "pauses until there is room."),
    Option("query_wait_timeout", Duration(_MS, _DAY), "120",
        "Time a NOTIFY that found the queue full waits for a shard that is down before it is refused "
        "(57P03)."),
    Option("unlisten_delay", Duration(0, _DAY), "5",
        "Pause between the last listener leaving a channel and the UNLISTEN, so that clients who come and "
        "go cost PostgreSQL nothing."),
    Option("max_channels", Integer(1, 1_000_000), "10000",
        "Channels that may be listened to on one shard. PostgreSQL spends 3 us on a notification at 1,000 "
        "channels of one connection, 40 us at 20,000."),
    Option("max_channels_per_client", Integer(1, 1_000_000), "1000",
        "Channels that one client may listen to; LISTEN beyond it is refused (53400)."),
    # The largest notification (63 + 7999 bytes) has to fit.
    Option("client_queue_hard_limit", Size(16 * _KB, _GB), "8 MB",
        "Notifications, in bytes, that may wait for a client that does not read. Beyond it the client is "
        "disconnected (53400), since nothing is dropped silently."),
    Option("fanout_slice", Duration(0.0001, 1), "5 ms",
        "Longest time that delivery keeps the process from everything else, such as logins."),
    Option("tcp_keepalive", Boolean(), "1",
        "Whether the kernel probes quiet connections of clients. Listeners only wait, so nothing else would "
        "notice that one is gone."),
    # Linux's own limits (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL, MAX_TCP_KEEPCNT).
    Option("tcp_keepidle", Integer(1, 32767), "60",
        "Seconds of silence before the first probe; the system's default is two hours."),
    Option("tcp_keepintvl", Integer(1, 32767), "15",
        "Seconds between two probes."),
    Option("tcp_keepcnt", Integer(1, 127), "4",
        "Probes without an answer after which the connection is lost."),
    Option("tcp_socket_buffer", Size(0, _GB), "262144",
        "Bytes that the kernel buffers for sending to one client (SO_SNDBUF); 0 leaves it to the system, "
        "which takes megabytes for a client that does not read."),
)

_TLS_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_STANDBYS = ("read-only", "standby", "prefer-standby")
_THREE_MODES = ("disable", "prefer", "require")

# Meanings: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
LIBPQ_KEYWORDS: tuple[Keyword, ...] = (
    Keyword("host", Text(), "Host name, address or folder of the socket; several with commas."),
    Keyword("hostaddr", Text(), "Address, where no name is to be looked up; several with commas."),
    Keyword("port", Ports(), "Port of the server."),
    Keyword("dbname", Text(), "Database; on a line of [databases] its name there is the default."),
    Keyword("user", Text(), "User that listens and notifies; the relay's too, whose default is the client's own."),
    Keyword("password", Text(), "Password of the user; it is never shown or logged."),
    Keyword("passfile", Text(), "File with the password."),
    Keyword("sslmode", Choice(_SSL_MODES), "Whether TLS is used and what is checked."),
    Keyword("sslrootcert", Text(), "File with the certificates that are trusted."),
    Keyword("sslcert", Text(), "File with the certificate that is shown to the server."),
    Keyword("sslkey", Text(), "File with the key of that certificate."),
    Keyword("sslcrl", Text(), "File with the certificates that are revoked."),
    Keyword("ssl_min_protocol_version", Choice(_TLS_VERSIONS), "Lowest version of TLS."),
    Keyword("ssl_max_protocol_version", Choice(_TLS_VERSIONS), "Highest version of TLS."),
    Keyword("target_session_attrs",
        Choice(("any", "read-write", "primary"), _STANDBYS, "names a standby, where LISTEN does not work"),
        "Which server of a list is taken: the primary, if LISTEN is to work."),
    Keyword("channel_binding", Choice(_THREE_MODES), "Whether SCRAM is bound to the TLS connection."),
    Keyword("require_auth", Text(), "Authentication that the server has to ask for; several with commas."),
    Keyword("gssencmode", Choice(_THREE_MODES), "Whether GSSAPI encryption is used."),
)

RELAY_IDLE_TIMEOUT = Duration(0, _DAY)

OWN_KEYWORDS: tuple[Keyword, ...] = (
    Keyword("shards", Names(),
        "Shards of this database, by their names in [shards]. A channel belongs to the one at the place "
        "(from 0) that is its partition hash modulo their number, so the order matters."),
    Keyword("relay", Boolean(),
        "Whether other SQL is relayed; where it is not, it is refused (0A000). On by default, but for a line with "
        "shards and neither host nor hostaddr: that is no place to relay to, and on is an error there."),
    Keyword("relay_shard", Text(),
        "The shard of this database whose PostgreSQL the relay reaches, whatever its address looks like: for a "
        "PgBouncer in front of it. By default the first of the shards with literally the same host, hostaddr, port "
        "and dbname, if there is one."),
    Keyword("relay_idle_timeout", RELAY_IDLE_TIMEOUT,
        "Time after which a client's upstream session is given back, if it is idle outside a transaction and "
        "provably has no state of its own. 0, the default, is never."),
    Keyword("listen_ack", Choice(("immediate", "confirmed")),
        "As the setting, for this database."),
    Keyword("notify_ack", Choice(("immediate", "committed")),
        "As the setting, for this database."),
    Keyword("embedded", Text(),
        "Folder of a private PostgreSQL that is started and stopped with the server. Excludes host, "
        "hostaddr, port and shards."),
)

CHANNEL_KEYWORDS: tuple[Keyword, ...] = (
    Keyword("listen", People(), "Who may LISTEN; nobody, if it is not there."),
    Keyword("notify", People(), "Who may NOTIFY; nobody, if it is not there."),
)

# libpq has them too, but they are not the file's to say.
REFUSED_KEYWORDS = {
    "application_name": "application_name is set by twistnotify itself",
    "connect_timeout": "connect_timeout is server_connect_timeout, in [twistnotify]",
}
# fmt: on

DATABASE_KEYWORDS = LIBPQ_KEYWORDS + OWN_KEYWORDS
SHARD_KEYWORDS = LIBPQ_KEYWORDS

_DEFAULTS: dict[str, object] = {option.name: option.kind.parse(option.default) for option in OPTIONS}


def default_of(name: str) -> object:
    """Return the default of a setting as a value; KeyError if there is no such setting."""
    return _DEFAULTS[name]
