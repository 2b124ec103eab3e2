"""A receiver to try the pages with: appends each post to a file, a JSON line each, and as a gateway allows everybody.

python3 docs/flows/receiver.py events.jsonl [port]. It checks no signatures: docs/events.md shows one that does.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Receiver(BaseHTTPRequestHandler):
    """Any path takes events and outcomes; /gateway takes questions."""

    def do_POST(self) -> None:
        """Keep what is told, and answer."""
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with Path(sys.argv[1]).open("a") as file:
            file.write(json.dumps(told) + "\n")
        asked = self.path.startswith("/gateway")
        answer = json.dumps({"user_id": told["user"]["user_id"], "allowed": True}) if asked else ""
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        """The file is the log."""


ThreadingHTTPServer.request_queue_size = 64
port = int(sys.argv[2]) if len(sys.argv) > 2 else 9000
ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
