// Answers the questions on standard input with the receiver in Node: see TestReceivers_agreeWithEachOther.
import { readFileSync } from 'node:fs';
import { Gaps, Seen, SignatureError, verify, verifySignature } from '../../docs/receivers/node/receiver.mjs';

function answer(q) {
  if (q.do === 'gaps') {
    const gaps = new Gaps();
    for (const n of q.numbers ?? []) gaps.note(n);
    return `${gaps.last} ${gaps}`;
  }
  if (q.do === 'seen') {
    const seen = new Seen(3);
    let had = '';
    for (const id of q.ids ?? []) {
      if (seen.has(id)) had += id;
      seen.add(id);
    }
    return had;
  }
  const body = Buffer.from(q.body ?? '', 'hex');
  const options = { now: q.now, tolerance: q.tolerance };
  try {
    if (q.do === 'signature') verifySignature(q.value ?? '', body, q.secrets ?? [], options);
    else verify(q.headers, body, q.secrets ?? [], options);
    return 'right';
  } catch (error) {
    if (!(error instanceof SignatureError)) throw error;
    return error.message;
  }
}

const questions = JSON.parse(readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(questions.map(answer)));
