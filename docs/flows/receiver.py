"""A receiver for the flow pages: appends each post to a file as a JSON line and, as a gateway, approves everybody.

python3 docs/flows/receiver.py events.jsonl [port]. It does not verify signatures; docs/events.md has one that does.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Receiver(BaseHTTPRequestHandler):
    """Notifications may go to any path; questions to the gateway go to /gateway."""

    def do_POST(self) -> None:
        """Write the post to the file, and answer."""
        post = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with Path(sys.argv[1]).open("a") as file:
            file.write(json.dumps(post) + "\n")
        is_question = self.path.startswith("/gateway")
        answer = json.dumps({"user_id": post["user"]["user_id"], "allowed": True}) if is_question else ""
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *_: object) -> None:
        """Log nothing: the file is the log."""


ThreadingHTTPServer.request_queue_size = 64
port = int(sys.argv[2]) if len(sys.argv) > 2 else 9000
ThreadingHTTPServer(("127.0.0.1", port), Receiver).serve_forever()
