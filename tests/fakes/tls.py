"""TLS in memory: what a server shows, and clients that speak TLS over a fake socket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID
from fakes.client import FakeClient
from fakes.fixtures import MakeWorld
from fakes.world import World
from OpenSSL import SSL
from support.certificates import SHA256, Certificate, authority, certificate

from twistnotify.config.model import Settings
from twistnotify.server.authentication import Security
from twistnotify.server.tls import PROTOCOL_NAME, ServerTls
from twistnotify.wire.catalog import BackendMessage, decode_backend
from twistnotify.wire.startup import SSLRequest

ROOT = authority()
SERVER = certificate(ROOT, "server", ["localhost"])
ALICE = certificate(ROOT, "alice")


def tls_settings(folder: Path, shown: Certificate = SERVER, **settings: Any) -> Settings:
    """Return settings whose files are there; the authority that signs clients is in `root.crt`."""
    crt, key = shown.write(folder, "server")
    ROOT.write(folder, "root")
    mode = settings.pop("client_tls_sslmode", "allow")
    files = {"client_tls_cert_file": str(crt), "client_tls_key_file": str(key)}
    return Settings(client_tls_sslmode=mode, **files, **settings)


def server_tls(folder: Path, shown: Certificate = SERVER, **settings: Any) -> ServerTls:
    """Return the server's side."""
    return ServerTls(tls_settings(folder, shown, **settings))


def tls_world(make_world: MakeWorld, tls: ServerTls, security: dict[str, Any], **settings: Any) -> World:
    """Return a server with TLS whose shard is up."""
    return make_world(security=Security(tls=tls, **security), **settings).start()


def client_context(shown: Certificate | None = None, protocols: Sequence[bytes] = (PROTOCOL_NAME,)) -> SSL.Context:
    """Return a client's side: it trusts everyone, and shows a certificate if it has one."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    if protocols:
        context.set_alpn_protos(list(protocols))
    if shown is not None:
        context.use_certificate(shown.certificate)
        context.use_privatekey(shown.key)
    return context


class FakeTlsClient(FakeClient):
    """A client that speaks TLS from `encrypt` on.

    `alert` is why TLS ended, "closed" for a regular end, None while it goes on; `clear` has what has been decrypted and
    not been looked at by `hear`. What it sends arrives in pieces of `piece` bytes.
    """

    def __init__(self, world: World, context: SSL.Context | None = None, piece: int = 65536) -> None:
        self.tls = SSL.Connection(context or client_context(), None)
        self.tls.set_connect_state()
        self.encrypted = False
        self.alert: str | None = None
        self.clear = b""
        self.piece = piece
        super().__init__(world.reactor, world.factory.buildProtocol(None))

    def send(self, data: bytes) -> None:
        """Send bytes, encrypted where they can be, without waiting for what comes of them."""
        if self.encrypted:
            self.tls.sendall(data)
            data = self._outgoing()
        self.transport.arrived += [data[at : at + self.piece] for at in range(0, len(data), self.piece)]

    def ask_for_tls(self) -> bytes:
        """Send SSLRequest; return the answer."""
        self.send(SSLRequest().encode())
        self.reactor.settle()
        answer = self.transport.received[self._read :]
        self._read += len(answer)
        return answer

    def encrypt(self) -> None:
        """Shake hands, as far as both sides go; what comes then is encrypted."""
        while self.alert is None and not self.encrypted:
            self._shake()
            if not self._exchange():
                return

    def secure(self, **parameters: str) -> list[BackendMessage]:
        """Ask for TLS, shake hands and log in."""
        assert self.ask_for_tls() == b"S"
        self.encrypt()
        return self.log_in(**parameters)

    def hear(self) -> list[BackendMessage]:
        """Return the messages received since the last look."""
        self._decrypt()
        self._frames.feed(self.clear)
        self.clear = b""
        messages = []
        while (frame := self._frames.next_frame()) is not None:
            messages.append(decode_backend(*frame, self.codec))
        return messages

    def hang_up(self) -> None:
        """Close, in the way of TLS."""
        self.tls.shutdown()
        data = self._outgoing()
        if data:
            self.transport.arrived.append(data)
        super().hang_up()

    def _shake(self) -> None:
        try:
            self.tls.do_handshake()
            self.encrypted = True
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.alert = _reason_of(error)

    def _exchange(self) -> bool:
        """Carry what each side has for the other; tell whether there was anything."""
        data = self._outgoing()
        if data:
            self.transport.arrived += [data[at : at + self.piece] for at in range(0, len(data), self.piece)]
        self.reactor.settle()
        return self._take() or bool(data)

    def _outgoing(self) -> bytes:
        data = b""
        while True:
            try:
                data += self.tls.bio_read(65536)
            except SSL.WantReadError:
                return data

    def _take(self) -> bool:
        arrived = self.transport.received[self._read :]
        self._read += len(arrived)
        if arrived:
            self.tls.bio_write(arrived)
        return bool(arrived)

    def _decrypt(self) -> None:
        self._take()
        while self.alert is None:
            try:
                self.clear += self.tls.recv(65536)
            except SSL.WantReadError:
                return
            except SSL.ZeroReturnError:
                self.alert = "closed"
            except SSL.Error as error:
                self.alert = _reason_of(error)


def _reason_of(error: SSL.Error) -> str:
    return str(error.args[0][-1][-1]) if error.args and error.args[0] else type(error).__name__


def named(*names: str) -> Certificate:
    """Return a client's certificate with these common names, maybe none, maybe several."""
    given = ALICE.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]))
        .issuer_name(ROOT.certificate.subject)
        .public_key(ALICE.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(given.not_valid_before_utc)
        .not_valid_after(given.not_valid_after_utc)
    )
    return Certificate(builder.sign(ROOT.key, SHA256), ALICE.key)
