"""A proxy of the Engine's socket that forbids some calls, as some sites put in front of it."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

SOCKET = "/var/run/docker.sock"


class EngineConnection(http.client.HTTPConnection):
    """A connection to the Engine's own socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(SOCKET)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers each connection in its own thread."""

    daemon_threads = True


@contextlib.contextmanager
def forbid_calls(path: Path, ending: str) -> Iterator[str]:
    """Listen at ``path`` and pass all calls on but those whose path ends with ``ending``; yield the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.endswith(ending):
                status, said = 403, json.dumps({"message": "forbidden by policy"}).encode()
            else:
                engine = EngineConnection("docker", timeout=30)
                engine.request(self.command, self.path, body, {"Content-Type": "application/json"})
                response = engine.getresponse()
                status, said = response.status, response.read()
                engine.close()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = answer  # noqa: N815 (names that the base class looks for)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    with Server(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
