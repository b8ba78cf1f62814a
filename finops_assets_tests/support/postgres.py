"""A real PostgreSQL of a test's own: a cluster in a temporary folder, over TLS and with a password, as RDS is."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

PATIENCE = 60
USER, PASSWORD, DATABASE = "dagster", "not a $ecret: %40/@", "dagster"
"""The password has what has to be quoted in a URL: RDS makes such ones."""

METHOD = "md5"
"""How a connection shows its password. SCRAM hashes it 4,096 times on both sides, to slow down who guesses, and Dagster
opens a connection for each question: thousands in a rehearsal."""


@dataclass(frozen=True)
class Postgres:
    """Where the cluster is, and who may in."""

    port: int

    @property
    def environ(self) -> dict[str, str]:
        """What deploy/dagster.yaml asks of the environment."""
        return {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(self.port),
            "DAGSTER_POSTGRES_USER": USER,
            "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
            "DAGSTER_POSTGRES_DB": DATABASE,
        }

    def change_password(self) -> None:
        """As RDS does: connections that are there stay, new ones need the new one, which no environment has yet."""
        with closing(_connect(self.port, DATABASE)) as connection, connection.cursor() as cursor:
            cursor.execute(f"ALTER USER {USER} PASSWORD 'changed'")


def programs() -> Path | None:
    """The folder of initdb and postgres, which Debian keeps off the PATH; None where there is no PostgreSQL."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom the cluster belongs to: PostgreSQL refuses to run as root."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A cluster with one user, one password and one database; it is gone afterwards."""
    where, owner = programs(), _unprivileged()
    assert where, "there is no PostgreSQL here"
    # Not below pytest's folder, which nobody but its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="finops-postgres-"))
    as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
    try:
        port = _free_port()
        (folder / "password").write_text(PASSWORD)
        _certificate(folder)
        for path in (folder, *folder.iterdir()) if owner else ():
            os.chown(path, owner.pw_uid, owner.pw_gid)
        data = folder / "data"
        initdb = [where / "initdb", "-D", data, "-U", USER, "--pwfile", folder / "password", "-A", METHOD]
        _run([*initdb, "-E", "UTF8", "--no-sync"], folder, as_owner)
        (data / "pg_hba.conf").write_text(f"hostssl all all 127.0.0.1/32 {METHOD}\n")
        options = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "ssl": "on",
            "ssl_cert_file": folder / "server.crt",
            "ssl_key_file": folder / "server.key",
            "fsync": "off",  # the machine's disk is not what is tried
        }
        server = [where / "postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(server, cwd=folder, stdout=log, stderr=log, **as_owner)
            try:
                _wait_and_make_database(port, process, folder / "log")
                yield Postgres(port)
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[object], folder: Path, as_owner: dict[str, object]) -> None:
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False, **as_owner)
    assert done.returncode == 0, done.stderr


def _wait_and_make_database(port: int, process: subprocess.Popen, log: Path) -> None:
    import psycopg2

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection = _connect(port, "postgres")
            break
        except psycopg2.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE}")


def _connect(port: int, database: str) -> Any:
    import psycopg2

    place = {"host": "127.0.0.1", "port": port, "user": USER, "password": PASSWORD, "dbname": database}
    connection = psycopg2.connect(**place, sslmode="require")
    connection.autocommit = True
    return connection


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _certificate(folder: Path) -> None:
    """A certificate that nobody has signed: the deployment asks for encryption, not for a name."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    (folder / "server.crt").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    as_pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(key.private_bytes(*as_pem))
    (folder / "server.key").chmod(0o600)
