// Runs the product page's Express sample without Express: the names that the sample uses, over node:http.
// The body is the raw text, as express.text() gives it.
//
// usage: harness.js FRAGMENT. Prints the port, then what the sample logs.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');

const routes = {};
const app = { post: (path, handler) => { routes[path] = handler; } };

const server = http.createServer((req, res) => {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    req.body = Buffer.concat(chunks).toString('utf8');
    res.sendStatus = (code) => { res.statusCode = code; res.end(); };
    routes[req.url](req, res);
  });
});

new Function('app', 'crypto', fs.readFileSync(process.argv[2], 'utf8'))(app, crypto);
server.listen(0, '127.0.0.1', () => console.log(String(server.address().port)));
