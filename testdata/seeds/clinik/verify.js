// The page prints no code. This is what it describes: X-Clinik-Signature is the "HMAC-SHA256 hex signature of the raw
// request body", compared by crypto.timingSafeEqual; X-Clinik-Delivery-Id is for de-duplication.
const crypto = require('crypto');

const delivered = new Set();

function handle(headers, body, secret) {
  const expected = crypto.createHmac('sha256', secret).update(body).digest('hex');
  const signature = headers['x-clinik-signature'] ?? '';
  if (signature.length !== expected.length || !crypto.timingSafeEqual(Buffer.from(signature), Buffer.from(expected))) {
    return { status: 401, text: 'invalid signature' };
  }
  const id = headers['x-clinik-delivery-id'];
  if (delivered.has(id)) {
    return { status: 200, text: 'duplicate' };
  }
  delivered.add(id);
  const age = Math.abs(Date.now() / 1000 - Number(headers['x-clinik-timestamp']));
  const event = JSON.parse(body);
  return { status: 200, text: `${headers['x-clinik-event']} ${event.event} ${age < 300 ? 'now' : 'old'} ${JSON.stringify(event.data)}` };
}
