// The page prints an interface (event.printed.txt) and says that 200 is the answer. This is the interface as a check.
function handle(headers, body) {
  const e = JSON.parse(body);
  const isEvent = typeof e.id === 'string' && typeof e.event === 'string'
    && (e.payload === undefined || (typeof e.payload === 'object' && e.payload !== null))
    && Object.keys(e).every((name) => ['id', 'event', 'payload'].includes(name));
  return isEvent ? { status: 200, text: `${e.event} ${JSON.stringify(e.payload)}` } : { status: 400, text: 'no WebhookEvent' };
}
