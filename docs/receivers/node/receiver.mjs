// @ts-check
// A receiver of fhirhook's notifications: it verifies them over their raw bytes, answers quickly, does nothing twice, and
// notices what is missing. Needs Node 18 or newer and no packages; the types are in the comments, for TypeScript, too.
//
//   SECRETS="newer older" LISTEN=127.0.0.1:9000 TOLERANCE=300 node receiver.mjs
//
// prints a line of JSON for each notification. What is answered with 2xx will not come again: keep it first,
// answer then, work afterwards.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

/** @typedef {import('node:http').IncomingHttpHeaders} Headers */

/** Why a signature is refused; the message can be shown to the sender. */
export class SignatureError extends Error {}

/**
 * Checks webhook-signature, which every dialect sends (Standard Webhooks): an HMAC-SHA256 over "id.timestamp.body", one
 * for each secret that is good at the time. While a secret is being changed, give both; one match is enough.
 *
 * @param {Headers} headers with names in lower case
 * @param {Buffer} body the bytes as they came, never JSON written anew
 * @param {string[]} secrets
 * @param {{now?: number, tolerance?: number}} [options] seconds; the tolerance is 300
 * @throws {SignatureError}
 */
export function verify(headers, body, secrets, options = {}) {
  const [id, stamp, value] = ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => String(headers[name] ?? ''));
  if (!id || !stamp || !value) {
    throw new SignatureError('webhook-id, webhook-timestamp or webhook-signature is missing');
  }
  // What is not v1 belongs to a later version of the form, and is not for us.
  const signatures = value.split(/\s+/).filter((s) => s.startsWith('v1,')).map((s) => Buffer.from(s.slice(3), 'base64'));
  match(signatures, secrets.map(webhookKey), `${id}.${stamp}.`, body);
  recent(stamp, options);
}

/**
 * Checks the header of the dialect alone, such as X-Signature: "<hex>" and "sha256=<hex>" are over the body,
 * "t=<unix>,v1=<hex>" is over "<unix>.<body>". The first two know no time, so what was recorded once can be
 * replayed for ever: prefer verify.
 *
 * @param {string} value
 * @param {Buffer} body
 * @param {string[]} secrets
 * @param {{now?: number, tolerance?: number}} [options]
 * @throws {SignatureError}
 */
export function verifySignature(value, body, secrets, options = {}) {
  const keys = secrets.map((s) => Buffer.from(s, 'utf8'));
  const hex = (/** @type {string} */ s) => Buffer.from(s, 'hex');
  if (!value.startsWith('t=')) {
    match([hex(value.replace(/^sha256=/, ''))], keys, '', body);
    return;
  }
  const [first, ...others] = value.split(',');
  const stamp = first.slice(2);
  match(others.filter((s) => s.startsWith('v1=')).map((s) => hex(s.slice(3))), keys, `${stamp}.`, body);
  recent(stamp, options);
}

/**
 * Compares every signature with what every key gives, in constant time.
 * @param {Buffer[]} signatures @param {Buffer[]} keys @param {string} head @param {Buffer} body
 */
function match(signatures, keys, head, body) {
  const whole = signatures.filter((s) => s.length === 32); // timingSafeEqual throws at other lengths
  if (whole.length === 0) {
    throw new SignatureError('the signature is not of a known form');
  }
  let found = false;
  for (const key of keys) {
    const want = createHmac('sha256', key).update(head).update(body).digest();
    for (const signature of whole) {
      found = timingSafeEqual(signature, want) || found;
    }
  }
  if (!found) {
    throw new SignatureError('no signature matches: another secret, or the body was changed on its way');
  }
}

/**
 * Is asked last: who can't sign learns nothing about our clock. Each retry carries a time of its own, so that a
 * narrow tolerance never refuses what is merely retried.
 * @param {string} stamp @param {{now?: number, tolerance?: number}} options
 */
function recent(stamp, { now = Date.now() / 1000, tolerance = 300 }) {
  if (!/^\d{1,15}$/.test(stamp)) {
    throw new SignatureError('the signature is not of a known form');
  }
  const age = now - Number(stamp);
  if (age > tolerance) throw new SignatureError('sent too long ago: a replay, or a wrong clock');
  if (age < -tolerance) throw new SignatureError('sent in the future: a wrong clock');
}

/**
 * The key for webhook-signature: behind whsec_ stands base64, any other secret is its own bytes.
 * @param {string} secret
 */
function webhookKey(secret) {
  return secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret, 'utf8');
}

/**
 * Remembers the latest ids. It lives in memory; a receiver that must not do a thing twice keeps the ids where
 * it keeps what it did, in the same transaction.
 */
export class Seen {
  /** @param {number} most */
  constructor(most = 100_000) {
    this.most = most;
    /** @type {Set<string>} in the order in which they came */
    this.ids = new Set();
  }

  /** @param {string} id */
  has(id) {
    return this.ids.has(id);
  }

  /** @param {string} id */
  add(id) {
    this.ids.add(id);
    for (const oldest of this.ids) {
      if (this.ids.size <= this.most) break;
      this.ids.delete(oldest);
    }
  }
}

/**
 * Finds the numbers of a Subscription that have not come. Numbers begin with 1 and have no gaps, but they may come
 * in another order: what is missing now is on its way, or waits for a retry, or failed for good. Look at what
 * stays missing.
 */
export class Gaps {
  /** @param {number} last highest number that came, to go on where a receiver was */
  constructor(last = 0) {
    this.last = last;
    /** @type {[number, number][]} from and to, both included, ascending */
    this.missing = [];
  }

  /** @param {number} n */
  note(n) {
    if (n > this.last) {
      if (n > this.last + 1) this.missing.push([this.last + 1, n - 1]);
      this.last = n;
      return;
    }
    this.missing = this.missing.flatMap(([from, to]) => {
      if (n < from || n > to) return [[from, to]];
      /** @type {[number, number][]} */
      const rest = [[from, n - 1], [n + 1, to]];
      return rest.filter(([a, b]) => a <= b);
    });
  }

  /** The missing numbers as "2,5-7". */
  toString() {
    return this.missing.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
  }
}

/**
 * @typedef {{id: string, subscription: string, event: string, resource: string, sequence: number, body: Buffer}} Notification
 * The signature covers the id, the time and the body; the other headers are as trustworthy as the connection.
 *
 * @typedef {{verdict: 'accepted'|'duplicate'|'test'|'refused'|'failed', reason?: string, id?: string,
 *   subscription?: string, sequence?: number, missing?: string}} Verdict
 */

/** Takes requests with any method and path, for the fhir and hapi dialects put type and id behind the endpoint. */
export class Receiver {
  /**
   * @param {string[]} secrets all that are good now
   * @param {(n: Notification) => Promise<void>} keep puts a notification where it is safe, such as a table or
   *   a queue. It is quick: the sender waits. If it throws, the notification comes again.
   * @param {{tolerance?: number}} [options]
   */
  constructor(secrets, keep, options = {}) {
    this.secrets = secrets;
    this.keep = keep;
    this.options = options;
    this.seen = new Seen();
    /** @type {Map<string, Promise<void>>} what is being kept, by id */
    this.keeping = new Map();
    /** @type {Map<string, Gaps>} by Subscription */
    this.gaps = new Map();
  }

  /**
   * @param {Headers} headers @param {Buffer} body
   * @returns {Promise<{status: number, verdict: Verdict}>}
   */
  async take(headers, body) {
    const text = (/** @type {string} */ name) => String(headers[name] ?? '');
    const n = {
      id: text('webhook-id'), subscription: text('x-fhirhook-subscription'), event: text('x-fhirhook-event'),
      resource: text('x-fhirhook-resource'), sequence: Number(text('x-fhirhook-sequence')), body,
    };
    const about = { id: n.id, subscription: n.subscription, sequence: n.sequence };
    try {
      verify(headers, body, this.secrets, this.options);
    } catch (error) {
      if (!(error instanceof SignatureError)) throw error;
      return { status: 401, verdict: { verdict: 'refused', reason: error.message, ...about } };
    }
    if (text('x-fhirhook-test') === 'true') {
      return { status: 200, verdict: { verdict: 'test', ...about } };
    }
    const before = this.keeping.get(n.id);
    try {
      if (before) await before; // the same id twice at once: the second is a duplicate only if the first was kept
      if (this.seen.has(n.id)) {
        return { status: 200, verdict: { verdict: 'duplicate', ...about } };
      }
      const kept = this.keep(n).then(() => this.seen.add(n.id));
      this.keeping.set(n.id, kept);
      await kept.finally(() => this.keeping.delete(n.id));
    } catch {
      return { status: 500, verdict: { verdict: 'failed', reason: 'could not be kept', ...about } };
    }
    const gaps = this.gaps.get(n.subscription) ?? new Gaps();
    this.gaps.set(n.subscription, gaps);
    if (n.sequence > 0) gaps.note(n.sequence);
    return { status: 200, verdict: { verdict: 'accepted', ...about, missing: gaps.toString() } };
  }
}

const mostBody = 16 << 20; // a resource of 8 MiB, the server's default, fits with its envelope

/**
 * An HTTP server around a Receiver. With a framework, take its raw body: express.raw({type: () => true}).
 * @param {Receiver} receiver @param {(v: Verdict) => void} log
 */
export function serve(receiver, log) {
  return createServer(async (request, response) => {
    /** @type {Buffer[]} */
    const chunks = [];
    let size = 0;
    try {
      for await (const chunk of request.iterator({ destroyOnReturn: false })) {
        size += chunk.length;
        if (size > mostBody) break;
        chunks.push(chunk);
      }
    } catch {
      return; // the sender went away: it comes again
    }
    if (size > mostBody) {
      response.writeHead(400, { connection: 'close' }).end('the body is too large');
      return;
    }
    const { status, verdict } = await receiver.take(request.headers, Buffer.concat(chunks));
    log(verdict);
    // 200, for one dialect takes nothing else. The reason of a refusal can be read in the server's $deliveries.
    response.writeHead(status).end(verdict.reason ?? '');
  });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const secrets = (process.env.SECRETS ?? '').split(/\s+/).filter(Boolean);
  const tolerance = Number(process.env.TOLERANCE ?? '300');
  const [host, port] = (process.env.LISTEN ?? '127.0.0.1:9000').split(':');
  if (secrets.length === 0 || !Number.isInteger(tolerance)) {
    console.error('SECRETS has to hold the secrets, apart by spaces, and TOLERANCE a number of seconds');
    process.exit(2);
  }
  const write = (/** @type {object} */ line) => process.stdout.write(`${JSON.stringify(line)}\n`);
  const receiver = new Receiver(secrets, async () => {}, { tolerance }); // the empty function is where your table or queue goes
  const server = serve(receiver, write).listen(Number(port), host, () => {
    const at = /** @type {import('node:net').AddressInfo} */ (server.address());
    write({ listening: `http://${host}:${at.port}` });
  });
}
