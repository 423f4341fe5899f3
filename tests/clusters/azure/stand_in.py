"""The stand-in of Azure Batch as tests hold it: its process, its certificate, and what it is asked to do."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from azure.core.credentials import AccessToken
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clusters.providers.azure.config import AzureConfig
from tests.clusters.azure.batch_rest import API_VERSION, CONTENT_TYPE
from tests.environment import CHECKOUT

ACCOUNT: Final = "ouraccount"
ACCOUNT_KEY: Final = "YW4gYWNjb3VudCBrZXkgb2YgdGhlIHRlc3Rz"
TOKEN: Final = "a-token-of-the-tests"
HIGH, LOW = "cp-high", "cp-low"


class OurToken:
    """A credential that gives the token that the stand-in takes, or another."""

    def __init__(self, token: str = TOKEN) -> None:
        self._token = token

    def get_token(self, *scopes: str, **wishes: Any) -> AccessToken:
        assert all(scope.startswith("https://batch.core.windows.net/") for scope in scopes)
        return AccessToken(self._token, int(time.time()) + 3600)


@dataclass(frozen=True)
class BatchServer:
    port: int
    certificate: str

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def config(self, **members: Any) -> AzureConfig:
        fixed = {"pools": {"HIGH": HIGH, "LOW": LOW}, "connection_verify": self.certificate}
        return AzureConfig(self.url, "westeurope", **{"calls_per_second": 1000.0, **fixed, **members})

    def control(self, do: str, **members: Any) -> Any:
        status, _, body = self._send("POST", "/_control", json.dumps({"do": do, **members}).encode(), {})
        assert status == 200, body
        return json.loads(body)

    def look(self) -> Any:
        """What it has seen, and has: `seen`, `starts`, `jobs` with the ids of their `tasks`, `pools`."""
        return self.control("look")

    def add_pools(self, nodes: int = 4, slots: int = 8) -> None:
        for name in (HIGH, LOW):
            self.add_pool(name, targetDedicatedNodes=nodes, taskSlotsPerNode=slots)

    def add_pool(self, name: str, **members: Any) -> None:
        machine = {
            "imageReference": {"publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2204"},
            "nodeAgentSKUId": "batch.node.ubuntu 22.04",
            "containerConfiguration": {"type": "dockerCompatible"},
        }
        row = {"id": name, "vmSize": "Standard_D4s_v5", "virtualMachineConfiguration": machine, **members}
        self.control("pool", row=row)

    def fault(self, match: str, **members: Any) -> None:
        """Let requests fail whose "METHOD path" matches; members as Fault of the server has them."""
        self.control("fault", match=match, **members)

    def request(
        self, method: str, path: str, body: object = None, query: str = "", **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Without the SDK: status, headers and JSON. Headers as the interface wants them, but for those given."""
        content = b"" if body is None else json.dumps(body).encode()
        sent = {"authorization": f"Bearer {TOKEN}", "content_type": CONTENT_TYPE if content else "", **headers}
        named = {name.replace("_", "-"): value for name, value in sent.items() if value}
        address = f"{path}?api-version={API_VERSION}{query}" if "?" not in path else path
        status, answered, said = self._send(method, address, content, named)
        return status, answered, json.loads(said) if said else None

    def _send(
        self, method: str, address: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(f"{self.url}{address}", body or None, dict(headers), method=method)
        context = ssl.create_default_context(cafile=self.certificate)
        try:
            with urllib.request.urlopen(request, context=context, timeout=60) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()


@contextmanager
def running(folder: Path, engine: str = "") -> Iterator[BatchServer]:
    """A server that runs tasks at `engine`, a dockerd's socket; without one it runs none."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    _make_certificate(certificate, key)
    command = [sys.executable, "-m", "tests.clusters.azure.batch_server", f"--engine={engine}"]
    command += [f"--certificate={certificate}", f"--key={key}", f"--account={ACCOUNT}"]
    command += [f"--account-key={ACCOUNT_KEY}", f"--token={TOKEN}"]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=output)
    assert process.stdout is not None
    try:
        port = process.stdout.readline()
        assert port, log.read_text()
        yield BatchServer(int(port), str(certificate))
    finally:
        process.stdout.close()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _make_certificate(certificate: Path, key: Path) -> None:
    """One that vouches for itself, as localhost."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
