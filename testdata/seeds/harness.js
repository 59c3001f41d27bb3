// Runs a page's sample over node:http in place of a framework. The sample is one of
//   express: it calls app.post(path, (req, res) => …); the body is the raw text, as express.text() gives it
//   verify:  it defines verifySignature(payload, signature, secret), and the page's prose is the rest
//   handle:  it defines handle(headers, body, secret), which returns a status and a text
//
// usage: harness.js SAMPLE HEADER, with SECRET in the environment; HEADER is where verifySignature finds its signature.
// Prints the port, then what the sample logs, or a line for each request.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');

const [, , sample, header] = process.argv;
const secret = process.env.SECRET ?? '';
const routes = {};
const app = { post: (path, handler) => { routes[path] = handler; } };
const text = fs.readFileSync(sample, 'utf8');
const names = ['verifySignature', 'handle'].map((name) => `typeof ${name} === 'function' ? ${name} : undefined`);
// Samples that bring their own crypto declare it inside, so the parameter is there only for those that don't.
const own = /\bconst crypto\b/.test(text) ? '_' : 'crypto';
const [verifySignature, handle] = new Function('app', own, 'require', `${text}\nreturn [${names}];`)(app, crypto, require);

const server = http.createServer((req, res) => {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    const raw = Buffer.concat(chunks);
    if (routes[req.url]) {
      req.body = raw.toString('utf8');
      res.sendStatus = (code) => { res.statusCode = code; res.end(); };
      routes[req.url](req, res);
      return;
    }
    const answer = handle
      ? handle(req.headers, raw, secret)
      : verifySignature(raw, req.headers[header], secret)
        ? { status: 200, text: JSON.parse(raw).type }
        : { status: 401, text: 'Invalid signature' };
    console.log(`${answer.status} ${answer.text}`);
    res.statusCode = answer.status;
    res.end(answer.text);
  });
});
server.listen(0, '127.0.0.1', () => console.log(String(server.address().port)));
