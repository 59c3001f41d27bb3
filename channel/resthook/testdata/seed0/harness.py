"""Runs the product page's Flask sample without Flask: the names that the sample uses, over http.server.

usage: harness.py FRAGMENT. Prints the port, then what the sample logs.
"""

import hashlib
import hmac
import http.server
import json
import sys
import types

routes = {}
request = types.SimpleNamespace(headers=None, data=b"")
request.get_data = lambda: request.data
flask = types.SimpleNamespace(request=request)


class app:
    @staticmethod
    def route(path, methods):
        def register(handler):
            for method in methods:
                routes[method, path] = handler
            return handler

        return register


def log(text):
    print(text, flush=True)


class Server(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request.headers = self.headers
        request.data = self.rfile.read(int(self.headers["content-length"]))
        answer = json.dumps(routes["POST", self.path]()).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


with open(sys.argv[1]) as fragment:
    exec(fragment.read(), {"app": app, "flask": flask, "hmac": hmac, "hashlib": hashlib, "log": log})
server = http.server.HTTPServer(("127.0.0.1", 0), Server)
log(str(server.server_port))
server.serve_forever()
