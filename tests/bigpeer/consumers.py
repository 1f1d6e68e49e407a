"""Whom webhooks tell, as a real HTTP server on loopback; and what one asks about webhooks."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LIMIT_S = 30


class Consumer:
    """Keeps what it is told; `answer(body)` says the status, 200 if it is not set."""

    def __init__(self, port=0):
        consumer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = consumer.answer(json.loads(body))
                with consumer.changed:
                    consumer.asked.append((dict(self.headers), body))
                    if status == 200:
                        consumer.told.append(json.loads(body))
                    consumer.changed.notify_all()
                if isinstance(status, bytes):
                    self.wfile.write(status)
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.answer = lambda body: 200
        self.asked = []
        self.told = []
        self.changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/changes"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def until(self, condition, what="to be told"):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), LIMIT_S), what

    def numbers(self):
        return [one["change"]["newValue"]["n"] for one in self.told]

    def stop(self):
        self._server.shutdown()
        self._server.server_close()


def state(server, hook, more=""):
    path = f"/apps/{server.big.app_id}/webhooks"
    if more:
        return server.ask("GET", f"{path}/{hook['id']}{more}").json()
    found = server.ask("GET", path).json()["webhooks"]
    return next(one for one in found if one["id"] == hook["id"])


def insert(server, collection, *numbers):
    rows = [{"_id": f"d{n}", "n": n} for n in numbers]
    server.execute(f"INSERT INTO {collection} DOCUMENTS (:rows)", rows=rows)
