"""The one HTTP client for addresses that callers give.

Whoever names an address may mean one of ours: the machine itself, its network, a cloud's metadata. So a name is
resolved once, every address that it has must be one that anybody on the internet may call (or lie in
CALLABLE_NETWORKS), and the connection is made to that very address, under the name. Redirects are answers, no proxy
is taken from the environment, and a call ends in time whatever the other side does.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from queue import Empty, SimpleQueue
from typing import Final
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ReadTimeoutError

from controlplane.core.errors import InvalidRequest
from controlplane.core.timed_sockets import Timed, TimedSocket

SECONDS: Final = 10.0  # for all of a call: the name, the connection, TLS, the answer and its body
MAX_URL: Final = 2048
MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_ADDRESSES: Final = 4  # of one name that a call tries, one after the other
LOOKUPS_AT_ONCE: Final = 64
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Iterable[str]]
_PLAIN: Final = re.compile(r"[!-\[\]-~]+")  # printable ASCII but the backslash, which some read as a slash
_HOST: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_ISATAP: Final = (0x00005EFE, 0x02005EFE)


class AddressRefused(InvalidRequest):
    """This address is not called."""

    code = "ADDRESS_REFUSED"


class CallFailed(Exception):
    """There was no answer; the message says why, in words that name neither headers nor body."""


class TimeIsUp(CallFailed):
    """The call was not over in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body`: its first MAX_ANSWER_BYTES as sent, not decoded. Names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    took_seconds: float


def check_address(url: str) -> None:
    """Raise AddressRefused, with the reason, for an address that cannot be one to call. Asks no name server.

    A name that leads somewhere it should not is found out when it is called.
    """
    target = _read(url)
    host = str(target.hostname)
    address = _literal(host)
    if address is not None:
        _demand(host, address, target.scheme)
    elif target.scheme != "https" and not _networks():
        raise AddressRefused("Only https:// is called.")


def send(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    *,
    seconds: float = SECONDS,
    ca_file: str | None = None,
    resolve: Resolve | None = None,
) -> Answer:
    """Call `url` and wait for its answer, `seconds` at most, whatever its status is; a redirect is not followed.

    `ca_file`: certificates to trust instead of the system's. `resolve`: the addresses of a name, instead of the
    system's. Raises AddressRefused for what may not be called, TimeIsUp, and CallFailed for all else that is no answer.
    """
    begun = time.monotonic()
    end = begun + seconds
    target = _read(url)
    _check_headers(headers)
    host, port = str(target.hostname), target.port or (443 if target.scheme == "https" else 80)
    addresses = _addresses(host, port, target.scheme, end, resolve or _system_resolve)
    path = (target.path or "/") + (f"?{target.query}" if target.query else "")
    connection = _connection(target.scheme, host, port, ca_file)
    try:
        sock = _connect(addresses, port, end)
        # urllib3 asks this for its socket; it knows the name only, for the header Host and for TLS.
        connection._new_conn = lambda: sock  # type: ignore[method-assign]
        connection.connect()
        connection.sock.end = end  # type: ignore[union-attr]
        connection.request(
            method,
            path,
            body,
            {**headers, "Connection": "close", "Accept-Encoding": "identity"},
            preload_content=False,
            decode_content=False,
            enforce_content_length=False,
        )
        response = connection.getresponse()
        beginning = response.read(MAX_ANSWER_BYTES, decode_content=False)
        names = {name.lower(): value for name, value in response.headers.items()}
    except (TimeoutError, ReadTimeoutError) as error:
        raise TimeIsUp(f"There was no whole answer within {seconds:g} s.") from error
    except (OSError, HTTPError, http.client.HTTPException, ValueError) as error:
        raise CallFailed(_why(error)) from error
    finally:
        connection.close()
    return Answer(response.status, names, beginning, time.monotonic() - begun)


# --- What is called ---------------------------------------------------------------------------------------------------


def _read(url: str) -> SplitResult:
    """The parts of `url`, which are what is called: nothing reads the text once more."""
    if len(url) > MAX_URL:
        raise AddressRefused(f"An address has {MAX_URL} characters at most.")
    if not _PLAIN.fullmatch(url):
        raise AddressRefused("An address has printable ASCII characters only, and no spaces or backslashes.")
    try:
        target = urlsplit(url)
        port = target.port
    except ValueError as error:
        raise AddressRefused("This is not an address: its host or its port cannot be read.") from error
    if target.scheme not in ("https", "http"):
        raise AddressRefused("An address begins with https://.")
    if "@" in target.netloc:
        raise AddressRefused("An address has no user and no password in it.")
    if "#" in url:
        raise AddressRefused("An address has no fragment (#).")
    if port == 0 or target.netloc.endswith(":"):
        raise AddressRefused("A port is a number from 1 to 65535.")
    host = target.hostname or ""
    if _literal(host) is None and not _HOST.fullmatch(host.removesuffix(".")):
        raise AddressRefused("An address names a host, in ASCII (xn--… for others).")
    return target


def _literal(host: str) -> Address | None:
    """The IP address that `host` is, None for a name. Raises AddressRefused for one that is spelt in another way."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        socket.inet_aton(host.rstrip("."))  # 2130706433, 0x7f.1, 0177.0.0.1
    except OSError:
        return None
    raise AddressRefused("An IP address is spelt as four decimal numbers.")


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise AddressRefused("A header has no line breaks, no control characters and no letters beyond Latin-1.")
        if name.lower() in ("host", "content-length", "transfer-encoding"):
            raise AddressRefused(f"{name} is not for callers to say.")


# --- Where that is ----------------------------------------------------------------------------------------------------


def _addresses(host: str, port: int, scheme: str, end: float, resolve: Resolve) -> list[Address]:
    """The addresses of `host`, all of which may be called."""
    literal = _literal(host)
    found = [literal] if literal is not None else _look_up(host, port, end, resolve)
    for address in found:
        _demand(host, address, scheme)
    return found[:MAX_ADDRESSES]


def _demand(host: str, address: Address, scheme: str) -> None:
    """Raise AddressRefused unless `address` may be called."""
    if _is_listed(address):
        return
    if not all(_is_public(face) for face in _faces(address)):
        raise AddressRefused(f"{host} is not on the internet: it is at {address}.")
    if scheme != "https":
        raise AddressRefused("Only https:// is called.")


def _is_listed(address: Address) -> bool:
    real = getattr(address, "ipv4_mapped", None) or address
    return any(real in network for network in _networks())


def _networks() -> tuple[Network, ...]:
    return read_networks(tuple(settings.CALLABLE_NETWORKS))[0]


@lru_cache(maxsize=8)
def read_networks(texts: tuple[str, ...]) -> tuple[tuple[Network, ...], tuple[str, ...]]:
    """CALLABLE_NETWORKS, and those of its texts that are no networks."""
    networks, strange = [], []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError:
            strange.append(text)
    return tuple(networks), tuple(strange)


def _faces(address: Address) -> list[Address]:
    """`address`, and the IPv4 addresses that it may lead to."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    number = int(address)
    last = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        return [address.ipv4_mapped]  # just another way to write it
    if address in _NAT64:
        return [last]
    faces: list[Address] = [address, *(address.teredo or ())]
    if address.sixtofour is not None:
        faces.append(address.sixtofour)
    if address in _COMPATIBLE or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        faces.append(last)
    return faces


def _is_public(address: Address) -> bool:
    """Python counts multicast as global, and knows not all of what is reserved as private."""
    if address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback:
        return False
    if isinstance(address, ipaddress.IPv6Address) and (address.is_site_local or address in _LOCAL_NAT64):
        return False
    return address.is_global and not address.is_private and not address.is_link_local


_looking: Final = threading.BoundedSemaphore(LOOKUPS_AT_ONCE)


def _look_up(host: str, port: int, end: float, resolve: Resolve) -> list[Address]:
    """The addresses of a name. Nothing ends a lookup that hangs: it is left to its thread, of which there are few."""
    if not _looking.acquire(timeout=max(0.0, end - time.monotonic())):
        raise TimeIsUp("Too many names are being looked up.")
    answers: SimpleQueue[list[Address] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            answers.put([ipaddress.ip_address(each) for each in resolve(host, port)])
        except (OSError, ValueError) as error:
            answers.put(error)
        finally:
            _looking.release()

    threading.Thread(target=ask, name="lookup", daemon=True).start()
    try:
        found = answers.get(timeout=max(0.001, end - time.monotonic()))
    except Empty as error:
        raise TimeIsUp(f"{host} was not found in time.") from error
    if isinstance(found, Exception) or not found:
        raise CallFailed(f"{host} has no address that is known here.") from (
            found if isinstance(found, Exception) else None
        )
    return found


def _system_resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


# --- The connection ---------------------------------------------------------------------------------------------------


class _TlsSocket(Timed, ssl.SSLSocket):
    pass


@lru_cache(maxsize=8)
def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.sslsocket_class = _TlsSocket
    return context


def _connection(scheme: str, host: str, port: int, ca_file: str | None) -> HTTPConnection:
    if scheme == "https":
        return HTTPSConnection(host, port, ssl_context=_context(ca_file), cert_reqs="CERT_REQUIRED")
    return HTTPConnection(host, port)


def _connect(addresses: list[Address], port: int, end: float) -> TimedSocket:
    """A connection to the first of the addresses that takes one; none may use up the time of all."""
    for number, address in enumerate(addresses):
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock = TimedSocket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            sock.settimeout(left / (len(addresses) - number))
            sock.connect((str(address), port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            sock.close()
            if address is addresses[-1]:
                raise
            continue
        sock.end = end
        sock.settimeout(max(0.001, end - time.monotonic()))  # for TLS to be agreed on
        return sock
    raise CallFailed("The host has no address.")


def _why(error: BaseException) -> str:
    """Why there was no answer, in a few words that repeat nothing of what was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"Its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS could not be agreed on: {error.reason or 'the connection was closed'}."
    if isinstance(error, ConnectionRefusedError):
        return "The connection was refused."
    if isinstance(error, ConnectionError | http.client.RemoteDisconnected):
        return "The connection was closed before there was an answer."
    if isinstance(error, OSError):
        return f"It cannot be reached: {error.strerror or type(error).__name__}."
    if isinstance(error, HTTPError):
        return "The answer broke off."
    return "What came back is not HTTP."
