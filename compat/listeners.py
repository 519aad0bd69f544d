"""HTTP servers of the tests' own, on loopback."""

import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """Takes what is posted to it, and answers with `status`; over TLS with the `files` of a certificate and its key."""

    def __init__(self, path, status, port=0, files=None):
        super().__init__(("127.0.0.1", port), _Taking)
        self.got, self.status = [], status
        if files:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*files)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"{'https' if files else 'http'}://127.0.0.1:{self.server_port}{path}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        """Ends it."""
        self.shutdown()
        self.server_close()


class Quiet(BaseHTTPRequestHandler):
    """Logs nothing."""

    def log_message(self, *_):
        """Nothing: tests look at what comes of a request."""


class _Taking(Quiet):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers, body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(handler):
    """Serves by `handler`; gives the URL without a path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
