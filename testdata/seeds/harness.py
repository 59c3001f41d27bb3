"""Runs a page's sample for Flask without Flask: the names that the samples use, over http.server.

usage: harness.py SAMPLE, with SECRET in the environment. Prints the port, then what the sample logs, and what it hands
on of an event.
"""

import hashlib
import hmac
import http.server
import json
import os
import sys
import types

routes = {}


class Request:
    headers, data = {}, b""

    def get_data(self):
        return self.data

    @property
    def json(self):
        return json.loads(self.data)


class Flask:
    def __init__(self, name):
        pass

    def route(self, path, methods):
        def register(handler):
            for method in methods:
                routes[method, path] = handler
            return handler

        return register


request = Request()
flask = types.ModuleType("flask")
flask.Flask, flask.request = Flask, request
sys.modules["flask"] = flask


def log(text):
    print(text, flush=True)


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request.headers = self.headers
        request.data = self.rfile.read(int(self.headers["content-length"]))
        result = routes["POST", self.path]()
        text, status = result if isinstance(result, tuple) else (result, 200)
        body = (text if isinstance(text, str) else json.dumps(text)).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


with open(sys.argv[1]) as sample:
    exec(sample.read(), {
        # what the samples take for granted
        "__name__": "sample", "app": Flask("sample"), "flask": flask, "hmac": hmac, "hashlib": hashlib, "log": log,
        "WEBHOOK_SECRET": os.environ.get("SECRET", ""),
        "handle_document_upload": lambda data: log("uploaded " + json.dumps(data, ensure_ascii=False)),
        "handle_analysis_complete": lambda data: log("completed " + json.dumps(data, ensure_ascii=False)),
    })
server = http.server.HTTPServer(("127.0.0.1", 0), Server)
log(str(server.server_port))
server.serve_forever()
