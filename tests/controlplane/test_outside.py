"""Addresses that callers give: what is called, and how a call ends. Each server here is a real one, on loopback."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pytest_django.fixtures import Settings

from controlplane.core import outside

SHORT = 0.4  # seconds, where a call is to end by its time
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Word: here\r\n\r\nok"
Serve = Callable[[socket.socket], None]


class Server:
    """Takes connections at a free port of 127.0.0.1, gives each to `serve` in a thread, and keeps what was sent."""

    def __init__(self, serve: Serve, tls: ssl.SSLContext | None = None) -> None:
        self._serve, self._tls = serve, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard: list[bytes] = []
        self._stopped = False
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(taken,), daemon=True).start()

    def _answer(self, taken: socket.socket) -> None:
        try:
            with self._tls.wrap_socket(taken, server_side=True) if self._tls else taken as sock:
                self.heard.append(read_request(sock))
                self._serve(sock)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def url(self, host: str = "127.0.0.1", path: str = "/") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"


def read_request(sock: socket.socket) -> bytes:
    """One request with a Content-Length."""
    text = b""
    while b"\r\n\r\n" not in text:
        more = sock.recv(65536)
        if not more:
            return text
        text += more
    head, _, body = text.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < length:
        body += sock.recv(65536)
    return head + b"\r\n\r\n" + body


Started = Callable[..., Server]


@pytest.fixture
def server() -> Iterator[Started]:
    servers: list[Server] = []

    def start(serve: Serve | bytes, tls: ssl.SSLContext | None = None) -> Server:
        answer = (lambda sock: sock.sendall(serve)) if isinstance(serve, bytes) else serve
        servers.append(Server(answer, tls))
        return servers[-1]

    yield start
    for each in servers:
        each.close()


@pytest.fixture
def _loopback(settings: Settings) -> None:
    settings.CALLABLE_NETWORKS = ["127.0.0.0/8"]


def call(url: str, **more: object) -> outside.Answer:
    return outside.send("POST", url, {"X-Asked": "yes"}, b"a body", **more)  # type: ignore[arg-type]


def resolves_to(*addresses: str) -> outside.Resolve:
    return lambda host, port: addresses


# --- What is refused ---


@pytest.mark.parametrize(
    "url",
    [
        "", "https://", "https:///path", "//example.com/", "example.com", "ftp://example.com/", "file:///etc/passwd",
        "gopher://example.com/", "http://example.com/", "https://user@example.com/", "https://user:word@example.com/",
        "https://example.com/#part", "https://example.com#", "https://example.com:0/", "https://example.com:65536/",
        "https://example.com:/", "https://example.com:port/", "https://example.com/\r\nHost: other",
        "https://example.com/a b", "https://example.com/\0", "https://exa\tmple.com/", "https://example.com\\@other.com/",
        "https://exämple.com/", "https://１２７.0.0.1/", "https://-example.com/", "https://a..example.com/",
        f"https://{'a' * 64}.example.com/", "https://[::1", "https://[::1%25lo]/", "https://exam[ple].com/",
        "https://example.com/" + "a" * 2048,
    ],
)  # fmt: skip
def test_what_is_no_address_to_call_is_refused_in_plain_words(url: str) -> None:
    with pytest.raises(outside.AddressRefused) as caught:
        outside.check_address(url)
    assert caught.value.message.endswith(".")
    with pytest.raises(outside.AddressRefused):
        call(url, resolve=resolves_to("127.0.0.1"))


INSIDE = [
    "0.0.0.0", "127.0.0.1", "127.255.0.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",  # noqa: S104
    "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "::127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::1", "2001::80ff:fffe", "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_on_the_internet_is_refused_written_out_and_behind_a_name(address: str) -> None:
    with pytest.raises(outside.AddressRefused, match="not on the internet"):
        outside.check_address(f"https://[{address}]/" if ":" in address else f"https://{address}/")
    outside.check_address("https://example.com/")
    with pytest.raises(outside.AddressRefused, match="not on the internet"):
        call("https://example.com/", resolve=resolves_to(address))


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0", "127.0.0.1."]
)
def test_an_address_that_is_spelt_in_another_way_is_refused(host: str) -> None:
    with pytest.raises(outside.AddressRefused, match="four decimal numbers"):
        outside.check_address(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com", "HTTPS://Example.COM/Path?a=b&c", "https://example.com:8443/", "https://8.8.8.8/",
        "https://[2606:4700::1]:444/x", "https://[::ffff:8.8.8.8]/", "https://[64:ff9b::808:808]/",
        "https://xn--exmple-cua.com/", "https://example.com./", "https://a_b.example.com/%C3%A4",
    ],
)  # fmt: skip
def test_what_is_on_the_internet_may_be_called(url: str) -> None:
    outside.check_address(url)


def test_networks_that_are_listed_may_be_called_and_no_others(settings: Settings) -> None:
    settings.CALLABLE_NETWORKS = ["10.1.0.0/16", "fd00:1::/64"]
    for url in ("http://10.1.2.3/", "https://10.1.2.3/", "http://[fd00:1::5]/", "http://[::ffff:10.1.0.1]/"):
        outside.check_address(url)
    outside.check_address("http://intranet.example.com/")  # where that is will be seen
    for url in ("https://10.2.0.1/", "http://127.0.0.1/", "http://8.8.8.8/", "https://[fd00:2::1]/"):
        with pytest.raises(outside.AddressRefused):
            outside.check_address(url)
    with pytest.raises(outside.AddressRefused, match="Only https"):
        call("http://intranet.example.com/", resolve=resolves_to("8.8.8.8"))


@pytest.mark.parametrize("among", [("8.8.8.8", "127.0.0.1"), ("127.0.0.1", "8.8.8.8"), ("8.8.8.8", "::1")])
def test_a_name_with_one_address_inside_is_refused_whole(among: tuple[str, ...], server: Started) -> None:
    listening = server(OK)
    with pytest.raises(outside.AddressRefused):
        call(listening.url("example.com").replace("http:", "https:"), resolve=resolves_to(*among))
    assert listening.heard == []


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\r\nY: b"}, {"X": "a\nb"}, {"X\r\n": "a"}, {"X Y": "a"}, {"": "a"}, {"X": "\0"}, {"X": "€"},
     {"host": "a"}],
)  # fmt: skip
@pytest.mark.usefixtures("_loopback")
def test_headers_that_would_say_something_else_are_refused(headers: dict[str, str], server: Started) -> None:
    listening = server(OK)
    with pytest.raises(outside.AddressRefused):
        outside.send("POST", listening.url(), headers)
    assert listening.heard == []


# --- Where a call goes ---


@pytest.mark.usefixtures("_loopback")
def test_an_answer_is_what_came_back(server: Started) -> None:
    listening = server(OK)
    answer = call(listening.url(path="/hook?a=b"))
    assert (answer.status, answer.body, answer.headers["x-word"]) == (200, b"ok", "here")
    assert 0 < answer.took_seconds < 10
    sent = listening.heard[0]
    assert sent.startswith(b"POST /hook?a=b HTTP/1.1\r\n")
    assert sent.endswith(b"\r\n\r\na body")
    for line in (f"Host: 127.0.0.1:{listening.port}", "X-Asked: yes", "Content-Length: 6", "Connection: close"):
        assert line.encode() in sent


@pytest.mark.usefixtures("_loopback")
def test_a_name_is_asked_for_once_and_that_very_address_is_called(server: Started) -> None:
    """As a name does whose server gives another address for each question: first to the check, then to the call."""
    listening, asked = server(OK), []

    def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    assert call(listening.url("changing.example.com"), resolve=resolve).status == 200
    assert asked == [("changing.example.com", listening.port)]
    assert f"Host: changing.example.com:{listening.port}".encode() in listening.heard[0]


def test_a_name_that_is_public_when_checked_and_loopback_when_called_is_not_called(server: Started) -> None:
    listening = server(OK)
    url = listening.url("changing.example.com").replace("http:", "https:")
    outside.check_address(url)
    with pytest.raises(outside.AddressRefused):
        call(url, resolve=resolves_to("127.0.0.1"))
    assert listening.heard == []


@pytest.mark.usefixtures("_loopback")
def test_the_next_address_of_a_name_is_called_when_the_first_refuses(server: Started) -> None:
    assert call(server(OK).url("a.example.com"), resolve=resolves_to("127.9.9.9", "127.0.0.1")).status == 200


@pytest.mark.usefixtures("_loopback")
def test_a_redirect_is_an_answer_and_is_not_followed(server: Started) -> None:
    secret = server(OK)
    head = f"HTTP/1.1 307 Over there\r\nLocation: {secret.url()}\r\nContent-Length: 0\r\n\r\n"
    answer = call(server(head.encode()).url())
    assert (answer.status, answer.headers["location"]) == (307, secret.url())
    assert secret.heard == []


@pytest.mark.usefixtures("_loopback")
def test_no_proxy_is_taken_from_the_environment(server: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, listening = server(OK), server(OK)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url())
    call(listening.url())
    assert (len(proxy.heard), len(listening.heard)) == (0, 1)


def test_a_name_that_nobody_knows_and_one_that_is_not_found_in_time() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror("no such name")

    with pytest.raises(outside.CallFailed, match="no address"):
        call("https://example.com/", resolve=unknown)
    with pytest.raises(outside.CallFailed, match="no address"):
        call("https://example.com/", resolve=resolves_to())
    over = threading.Event()

    def hanging(host: str, port: int) -> list[str]:
        over.wait(30)
        return []

    with pytest.raises(outside.TimeIsUp):
        call("https://example.com/", resolve=hanging, seconds=SHORT)
    over.set()


# --- How a call ends ---


@pytest.mark.usefixtures("_loopback")
def test_an_endless_body_is_cut(server: Started) -> None:
    def pour(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(b"x" * 65536)

    answer = call(server(pour).url())
    assert (answer.status, len(answer.body)) == (200, outside.MAX_ANSWER_BYTES)


def drips(begin: bytes, drop: bytes) -> Serve:
    """An answer whose every read is quick, and that never ends."""

    def serve(sock: socket.socket) -> None:
        sock.sendall(begin)
        while True:
            sock.sendall(drop)
            time.sleep(0.02)

    return serve


@pytest.mark.parametrize(
    "serve",
    [
        lambda sock: time.sleep(5),
        drips(b"", b"H"),
        drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        drips(b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        drips(b"HTTP/1.1 200 OK\r\n\r\n", b"."),
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"."),
        drips(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n.\r\n"),
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silent", "status", "headers", "a header", "body", "body of a length", "chunks", "continue"],
)
@pytest.mark.usefixtures("_loopback")
def test_an_answer_that_drips_ends_in_time(serve: Serve, server: Started) -> None:
    begun = time.monotonic()
    with pytest.raises(outside.CallFailed) as caught:
        call(server(serve).url(), seconds=SHORT)
    assert time.monotonic() - begun < SHORT + 2
    # More headers than anybody sends are no HTTP, however much time is left.
    assert isinstance(caught.value, outside.TimeIsUp) or "not HTTP" in str(caught.value)


@pytest.mark.usefixtures("_loopback")
def test_who_takes_a_body_in_drops_is_left_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # accepts and never reads
        begun = time.monotonic()
        with pytest.raises(outside.TimeIsUp):
            outside.send("POST", f"http://127.0.0.1:{listener.getsockname()[1]}/", {}, b"x" * 50_000_000, seconds=SHORT)
        assert time.monotonic() - begun < SHORT + 2


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-Server\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9"])
@pytest.mark.usefixtures("_loopback")
def test_what_is_no_answer_is_said_in_plain_words(answer: bytes, server: Started) -> None:
    if answer.endswith(b"9"):
        assert call(server(answer + b"\r\n\r\nshort").url()).body == b"short"
        return
    with pytest.raises(outside.CallFailed) as caught:
        call(server(answer).url())
    assert "yes" not in str(caught.value)


@pytest.mark.usefixtures("_loopback")
def test_nobody_there_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(outside.CallFailed, match="refused"):
        call(f"http://127.0.0.1:{port}/")


@pytest.mark.usefixtures("_loopback")
def test_a_packed_answer_is_not_unpacked(server: Started) -> None:
    packed = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"
    assert call(server(packed).url()).body == b"\x1f\x8b\x08\x00"


# --- TLS ---


def certificate(folder: Path) -> tuple[str, ssl.SSLContext]:
    """The file of a CA of our own, and what a server for right.example.com and 127.0.0.1 speaks TLS with."""
    key, ca_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = datetime.datetime.now(datetime.UTC)

    def issue(name: str, public: ec.EllipticCurvePublicKey, is_ca: bool) -> x509.Certificate:
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        ca_identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier), critical=False
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(ca_key, hashes.SHA256())
        )

    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(issue("ca", ca_key.public_key(), True).public_bytes(pem))
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "server.pem").write_bytes(
        key.private_bytes(pem, *plain) + issue("right.example.com", key.public_key(), False).public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return str(folder / "ca.pem"), context


@pytest.mark.usefixtures("_loopback")
def test_a_certificate_must_be_for_the_name_and_of_somebody_we_trust(server: Started, tmp_path: Path) -> None:
    ca_file, context = certificate(tmp_path)
    listening, here = server(OK, context), resolves_to("127.0.0.1")
    for host in ("right.example.com", "127.0.0.1", "RIGHT.example.com"):
        assert call(listening.url(host), ca_file=ca_file, resolve=here).status == 200
    assert b"Host: right.example.com:" in listening.heard[0]
    with pytest.raises(outside.CallFailed, match=r"certificate.*wrong\.example\.com"):
        call(listening.url("wrong.example.com"), ca_file=ca_file, resolve=here)
    with pytest.raises(outside.CallFailed, match="certificate"):
        call(listening.url("right.example.com"), resolve=here)
    assert len(listening.heard) == 3


@pytest.mark.usefixtures("_loopback")
def test_tls_that_drips_or_is_none_ends_in_time(server: Started, tmp_path: Path) -> None:
    ca_file, context = certificate(tmp_path)
    here = resolves_to("127.0.0.1")
    begun = time.monotonic()
    for serve, tls in ((drips(b"HTTP/1.1 200 OK\r\n\r\n", b"."), context), (lambda sock: time.sleep(5), context)):
        with pytest.raises(outside.TimeIsUp):
            call(server(serve, tls).url("right.example.com"), ca_file=ca_file, resolve=here, seconds=SHORT)
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(outside.TimeIsUp):
        call(f"https://127.0.0.1:{mute.getsockname()[1]}/", seconds=SHORT)
    assert time.monotonic() - begun < 3 * SHORT + 4


@pytest.mark.usefixtures("_loopback")
def test_what_speaks_no_tls_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            taken, _ = listener.accept()
            with taken:
                taken.recv(65536)
                taken.sendall(b"HTTP/1.1 400 Speak TLS\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(outside.CallFailed, match="TLS"):
            call(f"https://127.0.0.1:{listener.getsockname()[1]}/")
