"""A receiver of fhirhook's notifications: it verifies them over their raw bytes, answers quickly, does nothing twice, and
notices what is missing. Needs Python 3.9 or newer and its standard library.

    SECRETS="newer older" LISTEN=127.0.0.1:9000 TOLERANCE=300 python3 receiver.py

prints a line of JSON for each notification. What is answered with 2xx will not come again: keep it first, answer
then, work afterwards.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class SignatureError(Exception):
    """Why a signature is refused; the text can be shown to the sender."""


def verify(headers, body, secrets, now=None, tolerance=300):
    """Checks webhook-signature, which every dialect sends (Standard Webhooks): an HMAC-SHA256 over "id.timestamp.body",
    one for each secret that is good at the time. While a secret is being changed, give both; one match is enough.

    headers has a get that doesn't mind upper and lower case; body are the bytes as they came, never JSON written
    anew; now and tolerance are in seconds. Raises SignatureError.
    """
    id, stamp, value = (headers.get(name) or "" for name in ("webhook-id", "webhook-timestamp", "webhook-signature"))
    if not (id and stamp and value):
        raise SignatureError("webhook-id, webhook-timestamp or webhook-signature is missing")
    # What is not v1 belongs to a later version of the form, and is not for us.
    signatures = [_decode(base64.b64decode, s[3:]) for s in value.split() if s.startswith("v1,")]
    _match(signatures, [_webhook_key(s) for s in secrets], f"{id}.{stamp}.", body)
    _recent(stamp, now, tolerance)


def verify_signature(value, body, secrets, now=None, tolerance=300):
    """Checks the header of the dialect alone, such as X-Signature: "<hex>" and "sha256=<hex>" are over the body,
    "t=<unix>,v1=<hex>" is over "<unix>.<body>". The first two know no time, so what was recorded once can be
    replayed for ever: prefer verify. Raises SignatureError.
    """
    keys = [s.encode() for s in secrets]
    if not value.startswith("t="):
        if value.startswith("sha256="):
            value = value[len("sha256="):]
        _match([_decode(bytes.fromhex, value)], keys, "", body)
        return
    first, *others = value.split(",")
    stamp = first[2:]
    _match([_decode(bytes.fromhex, s[3:]) for s in others if s.startswith("v1=")], keys, stamp + ".", body)
    _recent(stamp, now, tolerance)


def _decode(how, text):
    try:
        return how(text)
    except (ValueError, binascii.Error):
        return b""


def _match(signatures, keys, head, body):
    """Compares every signature with what every key gives, in constant time."""
    signatures = [s for s in signatures if len(s) == hashlib.sha256().digest_size]
    if not signatures:
        raise SignatureError("the signature is not of a known form")
    found = False
    for key in keys:
        want = hmac.new(key, head.encode() + body, hashlib.sha256).digest()
        for signature in signatures:
            found = hmac.compare_digest(signature, want) or found
    if not found:
        raise SignatureError("no signature matches: another secret, or the body was changed on its way")


def _recent(stamp, now, tolerance):
    """Is asked last: who can't sign learns nothing about our clock. Each retry carries a time of its own, so that a
    narrow tolerance never refuses what is merely retried."""
    if not (stamp.isascii() and stamp.isdigit()):
        raise SignatureError("the signature is not of a known form")
    age = (time.time() if now is None else now) - int(stamp)
    if age > tolerance:
        raise SignatureError("sent too long ago: a replay, or a wrong clock")
    if age < -tolerance:
        raise SignatureError("sent in the future: a wrong clock")


def _webhook_key(secret):
    """The key for webhook-signature: behind whsec_ stands base64, any other secret is its own bytes."""
    if secret.startswith("whsec_"):
        text = secret[len("whsec_"):].rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4))
    return secret.encode()


class Seen:
    """Remembers the latest ids. It lives in memory; a receiver that must not do a thing twice keeps the ids where it
    keeps what it did, in the same transaction."""

    def __init__(self, most=100_000):
        self.most = most
        self.ids = {}  # in the order in which they came

    def __contains__(self, id):
        return id in self.ids

    def add(self, id):
        self.ids[id] = True
        while len(self.ids) > self.most:
            del self.ids[next(iter(self.ids))]


class Gaps:
    """Finds the numbers of a Subscription that have not come. Numbers begin with 1 and have no gaps, but they may come
    in another order: what is missing now is on its way, or waits for a retry, or failed for good. Look at what
    stays missing. last lets a receiver go on where it was."""

    def __init__(self, last=0):
        self.last = last  # highest number that came
        self.missing = []  # pairs from and to, both included, ascending

    def note(self, n):
        if n > self.last:
            if n > self.last + 1:
                self.missing.append((self.last + 1, n - 1))
            self.last = n
            return
        for i, (start, end) in enumerate(self.missing):
            if start <= n <= end:
                self.missing[i:i + 1] = [(a, b) for a, b in ((start, n - 1), (n + 1, end)) if a <= b]
                return

    def __str__(self):
        """The missing numbers as "2,5-7"."""
        return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in self.missing)


class Receiver:
    """Takes requests with any method and path, for the fhir and hapi dialects put type and id behind the endpoint.

    secrets are all that are good now. keep puts a notification where it is safe, such as a table or a queue. It
    is quick: the sender waits. If it raises, the notification comes again.
    """

    def __init__(self, secrets, keep, tolerance=300):
        [_webhook_key(s) for s in secrets]  # so that one that can't be read shows now
        self.secrets, self.keep, self.tolerance = secrets, keep, tolerance
        self.lock = threading.Lock()  # also held while keep runs, so that two of one id can't pass each other
        self.seen = Seen()
        self.gaps = {}  # by Subscription

    def take(self, headers, body):
        """Returns the status to answer with, and a verdict for a log.

        The signature covers the id, the time and the body; the other headers are as trustworthy as the connection.
        """
        sequence = headers.get("x-fhirhook-sequence") or ""  # a test has none
        notification = {
            "id": headers.get("webhook-id"),
            "subscription": headers.get("x-fhirhook-subscription"),
            "event": headers.get("x-fhirhook-event"),
            "resource": headers.get("x-fhirhook-resource"),
            "sequence": int(sequence) if sequence.isascii() and sequence.isdigit() else 0,
            "body": body,
        }
        about = {name: notification[name] for name in ("id", "subscription", "sequence")}
        try:
            verify(headers, body, self.secrets, tolerance=self.tolerance)
        except SignatureError as error:
            return 401, {"verdict": "refused", "reason": str(error), **about}
        if headers.get("x-fhirhook-test") == "true":
            return 200, {"verdict": "test", **about}
        with self.lock:
            if notification["id"] in self.seen:
                return 200, {"verdict": "duplicate", **about}
            try:
                self.keep(notification)
            except Exception:  # whatever it is, the notification is not safe
                return 500, {"verdict": "failed", "reason": "could not be kept", **about}
            self.seen.add(notification["id"])
            gaps = self.gaps.setdefault(notification["subscription"], Gaps())
            if notification["sequence"] > 0:
                gaps.note(notification["sequence"])
            return 200, {"verdict": "accepted", **about, "missing": str(gaps)}


MOST_BODY = 16 << 20  # a resource of 8 MiB, the server's default, fits with its envelope


def serve(receiver, host, port, log):
    """An HTTP server around a Receiver. With a framework, take its raw body: request.get_data() in Flask."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections
        timeout = 30

        def handle_any(self):
            length = self.headers.get("content-length") or "0"
            size = int(length) if length.isdigit() else MOST_BODY + 1
            if size > MOST_BODY:
                self.answer(400, b"the body is too large", close=True)
                return
            status, verdict = receiver.take(self.headers, self.rfile.read(size))
            log(verdict)
            # 200, for one dialect takes nothing else. The reason of a refusal can be read in the server's $deliveries.
            self.answer(status, verdict.get("reason", "").encode())

        do_POST = do_PUT = do_DELETE = handle_any

        def answer(self, status, text, close=False):
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            if close:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *args):
            pass

    return ThreadingHTTPServer((host, port), Handler)


if __name__ == "__main__":
    secrets = os.environ.get("SECRETS", "").split()
    tolerance = os.environ.get("TOLERANCE", "300")
    host, _, port = os.environ.get("LISTEN", "127.0.0.1:9000").rpartition(":")
    if not secrets or not tolerance.isdigit():
        sys.exit("SECRETS has to hold the secrets, apart by spaces, and TOLERANCE a number of seconds")

    def write(line):
        print(json.dumps(line) + "\n", end="", flush=True)

    # The empty function is where your table or queue goes.
    server = serve(Receiver(secrets, lambda notification: None, int(tolerance)), host, int(port), write)
    write({"listening": f"http://{host}:{server.server_port}"})
    server.serve_forever()
