"""Collectors of audit entries: listening sockets that read only when a test asks, so that what is there is what had
been sent by then."""

import json
import os
import socket


class Collector:
    """Listens at `address` by one of the types of Vault's socket device; `syslog` is a daemon at a path."""

    def __init__(self, kind, address):
        self.kind, self.address = kind, address
        self.stored = b""
        self._listener, self._streams = None, []
        self.listen()

    def listen(self):
        """Begins to listen, again if need be."""
        family = socket.AF_INET if self.kind in ("tcp", "udp") else socket.AF_UNIX
        kind = socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM
        self._listener = socket.socket(family, kind)
        if self.kind == "tcp":
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(_bound(family, self.address))
        if family == socket.AF_INET:
            self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        if self.is_stream:
            self._listener.listen(16)
        self._listener.setblocking(False)

    @property
    def is_stream(self):
        """Whether it takes lines rather than datagrams."""
        return self.kind in ("tcp", "unix")

    @property
    def options(self):
        """What `sys/audit` is told to send there."""
        named = {} if self.kind == "syslog" else {"socket_type": self.kind}
        return {"address": self.address, **named}

    @property
    def device(self):
        """The type of device that sends there."""
        return "syslog" if self.kind == "syslog" else "socket"

    @property
    def connections(self):
        """How many connections there have been since the last that was hung up."""
        return len(self._streams)

    def read(self):
        """Reads what has been sent so far, and waits for nothing."""
        if self._listener.fileno() < 0:
            return
        if not self.is_stream:
            while (datagram := _now(lambda: self._listener.recv(1 << 20))) is not None:
                self.stored += datagram if datagram.endswith(b"\n") else datagram + b"\n"
            return
        while (accepted := _now(self._listener.accept)) is not None:
            accepted[0].setblocking(False)
            self._streams.append(accepted[0])
        for stream in self._streams:
            while data := _now(lambda stream=stream: stream.recv(1 << 20)):
                self.stored += data

    def entries(self):
        """All entries so far."""
        self.read()
        return [json.loads(line[line.index(b"{"):]) for line in self.stored.splitlines() if line]

    def hang_up(self):
        """Closes the connections and goes on listening."""
        self.read()
        for stream in self._streams:
            stream.close()
        self._streams = []

    def die(self):
        """Is gone, with its connections and its socket."""
        self.hang_up()
        self._listener.close()
        if self.address.startswith("/") and os.path.exists(self.address):
            os.unlink(self.address)


def _bound(family, address):
    if family == socket.AF_UNIX:
        return address
    host, port = address.rsplit(":", 1)
    return host, int(port)


def _now(read):
    """What there is at once; None if there is nothing."""
    try:
        return read()
    except (BlockingIOError, ConnectionError):
        return None
