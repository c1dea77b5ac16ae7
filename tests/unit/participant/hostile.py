"""A client that keeps to no rule, with an address of its own on the loopback, as a device has one in its network."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from fedsim_runner.participant.light import wire
from fedsim_runner.participant.light.wire import Message

ADDRESS = "127.0.0.9"
_CHUNK = 1 << 16
_READY_S = 120.0  # FederatedScope takes long to load on a machine that does other things
_ANSWER_S = 60.0


class Hostile:
    """Sends anything to anybody from ``ADDRESS``, where it also receives."""

    def __init__(self) -> None:
        self.received: queue.Queue[Message] = queue.Queue()
        self.kinds: list[str] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers((self,))  # type: ignore[arg-type]
        self.port = self._server.add_insecure_port(f"{ADDRESS}:0")
        self._server.start()
        self._ends = contextlib.ExitStack()
        self._channels: dict[int, grpc.Channel] = {}

    def service(self, details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._take) if details.method == wire.METHOD else None

    def _take(self, data: bytes, context: Any) -> bytes:
        message = wire.decode(data)
        self.kinds.append(message.msg_type)
        self.received.put(message)
        return wire.encode_acknowledgement()

    def wait_for(self, kind: str, timeout: float = 120) -> Message:
        """The next message of this kind."""
        while True:
            message = self.received.get(timeout=timeout)
            if message.msg_type == kind:
                return message

    def send(self, port: int, message: Message | bytes) -> str:
        """Send to a participant on 127.0.0.1, once it listens; the name of the answer's status.

        UNAVAILABLE: it ended before it answered, which a participant that a message ends may do.
        """
        if port not in self._channels:
            self._channels[port] = grpc.insecure_channel(f"127.0.0.1:{self._forwarder(port)}")
            self._ends.callback(self._channels[port].close)
            grpc.channel_ready_future(self._channels[port]).result(timeout=_READY_S)
        call: Any = self._channels[port].unary_unary(wire.METHOD)
        data = message if isinstance(message, bytes) else wire.encode(message)
        end = time.monotonic() + _READY_S
        while True:
            try:
                call(data, timeout=_ANSWER_S)
            except grpc.RpcError as error:
                answer = str(error.code().name)  # type: ignore[attr-defined]
                if answer == "UNAVAILABLE" and time.monotonic() < end and _listens(port):  # it loads its engine
                    time.sleep(0.1)
                    continue
                return answer
            return "OK"

    def join(self, server: int, **over: Any) -> str:
        """Ask the server for a place in the course; ``over``: instead of its own host and port."""
        content = {"host": ADDRESS, "port": self.port} | over
        return self.send(server, Message("join_in", -1, [0], 0, {k: v for k, v in content.items() if v is not None}))

    def close(self) -> None:
        self._ends.close()
        self._server.stop(None).wait(5)

    def _forwarder(self, port: int) -> int:
        """A port from which connections go on to ``port`` as from ``ADDRESS``: gRPC does not choose its own address."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._ends.callback(listener.close)

        def forward(source: socket.socket, target: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(_CHUNK):
                    target.sendall(data)
            for end in (source, target):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    near, _ = listener.accept()
                    try:
                        far = socket.create_connection(("127.0.0.1", port), source_address=(ADDRESS, 0))
                    except OSError:
                        near.close()
                        continue
                    for ends in ((near, far), (far, near)):
                        threading.Thread(target=forward, args=ends, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), source_address=(ADDRESS, 0)).close()
    except OSError:
        return False
    return True
