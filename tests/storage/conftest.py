"""A real S3 server (moto) on loopback, behind a proxy that injects faults into the connections."""

import logging
import os
import re
import socket
import threading

import pytest

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Proxy:
    """TCP proxy to the server: cuts answers after some bytes, or answers 503 itself.

    Attributes:
        cuts: number of the next answers with a body of more than `after` bytes that are cut.
        refused: number of the next requests that get 503.
    """

    def __init__(self, port):
        self.target, self.cuts, self.refused, self.after = port, 0, 0, 50_000
        self.cut_uploads = self.requests = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client):
        with client:
            request = client.recv(1 << 16)
            self.requests += bool(request)
            if not request:
                return
            if self.refused > 0:
                self.refused -= 1
                client.sendall(
                    b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                return
            # One request per connection, so that a fault belongs to one request.
            request = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", request)
            request = request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                server.sendall(request)
                threading.Thread(target=self._up, args=(client, server), daemon=True).start()
                sent = 0
                while data := self._receive(server):
                    if self.cuts > 0 and sent + len(data) > self.after:
                        self.cuts -= 1
                        client.sendall(data[: max(0, self.after - sent)])
                        client.shutdown(socket.SHUT_RDWR)  # the other thread still reads from it
                        return
                    client.sendall(data)
                    sent += len(data)

    def _up(self, client, server):
        sent = 0
        while data := self._receive(client):
            sent += len(data)
            if self.cut_uploads > 0 and sent > self.after:
                self.cut_uploads -= 1
                for connection in (client, server):
                    connection.shutdown(socket.SHUT_RDWR)
                return
            try:
                server.sendall(data)
            except OSError:
                return

    @staticmethod
    def _receive(connection):
        try:
            return connection.recv(1 << 16)
        except OSError:
            return b""


@pytest.fixture(scope="session")
def storage():
    """The proxy in front of a moto server; the environment points s3fs to it."""
    for package in ("moto", "s3fs"):
        pytest.importorskip(package)
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    proxy = Proxy(server.get_host_and_port()[1])
    values = {**KEYS, "AWS_ENDPOINT_URL": proxy.url}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    yield proxy
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    proxy.socket.close()
    server.stop()


@pytest.fixture
def bucket(storage, request):
    """URL of a new bucket."""
    import s3fs

    storage.cuts = storage.refused = storage.cut_uploads = 0
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-")
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"
