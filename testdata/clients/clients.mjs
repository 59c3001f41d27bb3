// Drives the server in BASE with the FHIR clients that people use, step by step; a step that doesn't hold ends
// the run. Each client gets resources of its own, marked by its name.
import assert from 'node:assert/strict';

globalThis.WebSocket ??= class {}; // asked for by a client when it is loaded, never used here

const base = process.env.BASE;
const endpoint = process.env.ENDPOINT;

const patient = (mark, family) => ({
  resourceType: 'Patient', identifier: [{ system: 'urn:clients', value: mark }], active: true, name: [{ family }],
});
const subscription = () => ({
  resourceType: 'Subscription', status: 'requested', reason: 'test', criteria: 'Patient?active=true',
  channel: { type: 'rest-hook', endpoint, payload: 'application/fhir+json' },
});
const transaction = (mark) => ({
  resourceType: 'Bundle', type: 'transaction', entry: [
    { fullUrl: 'urn:uuid:7c1b3f3e-90a5-4a53-9d64-6f9bfa2c0a01', resource: patient(mark, 'Bundled'), request: { method: 'POST', url: 'Patient' } },
    {
      resource: {
        resourceType: 'Observation', status: 'final', code: { text: mark },
        subject: { reference: 'urn:uuid:7c1b3f3e-90a5-4a53-9d64-6f9bfa2c0a01' },
      },
      request: { method: 'POST', url: 'Observation' },
    },
  ],
});

// run checks one client: what it offers is in ops, under the same names for all.
async function run(name, ops) {
  const mark = `${name}-${Date.now()}`;
  const step = async (title, work) => {
    try {
      const result = await work();
      console.log(`ok ${name}: ${title}`);
      return result;
    } catch (error) {
      console.error(`not ok ${name}: ${title}: ${error.message}`);
      throw error;
    }
  };
  const capability = await step('capability', ops.capability);
  assert.equal(capability.fhirVersion, '4.0.1');

  const created = await step('create', () => ops.create(patient(mark, 'Created')));
  assert.equal(created.meta.versionId, '1');
  const read = await step('read', () => ops.read('Patient', created.id));
  assert.deepEqual(read, created);

  const updated = await step('update', () => ops.update({ ...created, name: [{ family: 'Updated' }] }));
  assert.equal(updated.meta.versionId, '2');

  const same = await step('conditional create', () => ops.createOnce(patient(mark, 'Twice'), `identifier=urn:clients|${mark}`));
  if (same) assert.equal(same.id, created.id);

  const patched = await step('patch', () => ops.patch('Patient', created.id, [{ op: 'replace', path: '/active', value: false }]));
  assert.equal(patched.active, false);

  const history = await step('history', () => ops.history('Patient', created.id));
  assert.equal(history.type, 'history');
  assert.deepEqual(history.entry.map((e) => e.resource.meta.versionId), ['3', '2', '1']);

  const answer = await step('transaction', () => ops.transaction(transaction(mark)));
  assert.equal(answer.type, 'transaction-response');
  assert.ok(answer.entry.every((e) => e.response.status.startsWith('201')));

  for (let i = 0; i < 5; i++) await ops.create(patient(`${mark}-page`, `Page ${i}`));
  const found = await step('search with paging', () => ops.pages(`identifier=urn:clients|${mark}-page&_count=2`));
  assert.deepEqual(found.map((p) => p.name[0].family).sort(), [0, 1, 2, 3, 4].map((i) => `Page ${i}`));

  const watching = await step('Subscription create', () => ops.create(subscription()));
  assert.equal(watching.status, 'active');

  await step('delete', () => ops.remove('Patient', created.id));
  await assert.rejects(() => ops.read('Patient', created.id), 'a deleted resource is read');
}

// fhir-kit-client
{
  const { Client } = await import('fhir-kit-client');
  const client = new Client({ baseUrl: base });
  await run('fhir-kit-client', {
    capability: () => client.capabilityStatement(),
    create: (body) => client.create({ resourceType: body.resourceType, body }),
    read: (resourceType, id) => client.read({ resourceType, id }),
    update: (body) => client.update({ resourceType: body.resourceType, id: body.id, body }),
    createOnce: (body, query) => client.create({ resourceType: body.resourceType, body, options: { headers: { 'If-None-Exist': query } } }),
    patch: (resourceType, id, jsonPatch) => client.patch({ resourceType, id, jsonPatch }),
    history: (resourceType, id) => client.history({ resourceType, id }),
    transaction: (body) => client.transaction({ body }),
    pages: async (query) => {
      const found = [];
      let bundle = await client.search({ resourceType: 'Patient', searchParams: Object.fromEntries(new URLSearchParams(query)) });
      while (bundle) {
        found.push(...(bundle.entry ?? []).map((e) => e.resource));
        bundle = bundle.link.some((l) => l.relation === 'next') ? await client.nextPage({ bundle }) : undefined;
      }
      return found;
    },
    remove: (resourceType, id) => client.delete({ resourceType, id }),
  });
}

// fhirclient
{
  const { default: FHIR } = await import('fhirclient');
  const client = FHIR({ protocol: 'http', url: '/', headers: {} }, { setHeader() {}, end() {} }).client(base);
  await run('fhirclient', {
    capability: () => client.request('metadata'),
    create: (body) => client.create(body),
    read: (type, id) => client.request(`${type}/${id}`),
    update: (body) => client.update(body),
    createOnce: (body, query) => client.create(body, { headers: { 'If-None-Exist': query } }),
    patch: (type, id, ops) => client.patch(`${type}/${id}`, ops),
    history: (type, id) => client.request(`${type}/${id}/_history`),
    transaction: (body) => client.request({ url: '', method: 'POST', body: JSON.stringify(body), headers: { 'Content-Type': 'application/fhir+json' } }),
    pages: (query) => client.request(`Patient?${query}`, { pageLimit: 0, flat: true }),
    remove: (type, id) => client.delete(`${type}/${id}`),
  });
}

// @medplum/core
{
  const { MedplumClient } = await import('@medplum/core');
  const url = new URL(base);
  const client = new MedplumClient({ baseUrl: `${url.origin}/`, fhirUrlPath: url.pathname.slice(1), fetch, cacheTime: 0 });
  await run('medplum-core', {
    capability: () => client.get(client.fhirUrl('metadata')),
    create: (body) => client.createResource(body),
    read: (type, id) => client.readResource(type, id, { cache: 'reload' }),
    update: (body) => client.updateResource(body),
    createOnce: (body, query) => client.createResourceIfNoneExist(body, query),
    patch: (type, id, ops) => client.patchResource(type, id, ops),
    history: (type, id) => client.readHistory(type, id),
    transaction: (body) => client.executeBatch(body),
    pages: async (query) => {
      const found = [];
      for await (const page of client.searchResourcePages('Patient', query)) found.push(...page);
      return found;
    },
    remove: (type, id) => client.deleteResource(type, id),
  });
}
