'use strict';

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { version } = require('../../package.json');

const base = process.env.SHOP_URL ?? 'http://127.0.0.1:3000';

async function call(method, path, body) {
  const response = await fetch(base + path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  return { status: response.status, body: await response.json() };
}

describe('shop, over HTTP', () => {
  // The image under test may still be starting.
  before(async function () {
    this.timeout(30_000);
    for (;;) {
      const answer = await call('GET', '/ready').catch(() => undefined);
      if (answer?.status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });

  it('says its version', async () => {
    assert.deepEqual(await call('GET', '/version'), { status: 200, body: { version } });
  });

  it('sells: cart, order, receipt', async () => {
    const cart = `/carts/${randomUUID()}`;
    assert.equal((await call('POST', cart, { product: 'red-mug', quantity: 3 })).body.totalCents, 1500);
    assert.equal((await call('POST', cart, { product: 'red-lamp' })).body.totalCents, 2175);
    assert.equal((await call('DELETE', `${cart}/red-lamp`)).body.totalCents, 1500);
    const { status, body } = await call('POST', `${cart}/order`);
    assert.equal(status, 201);
    assert.equal((await call('GET', `/orders/${body.number}`)).body.totalCents, 1500);
    assert.deepEqual((await call('GET', cart)).body.lines, []);
  });

  it('finds products', async () => {
    const { body } = await call('GET', '/search?q=blue');
    assert.equal(body.found.length, 8);
  });

  it('refuses what makes no sense', async () => {
    const cart = `/carts/${randomUUID()}`;
    const statuses = [
      await call('POST', cart, { product: 'no-such-thing' }),
      await call('POST', cart, { product: 'red-mug', quantity: -1 }),
      await call('POST', `${cart}/order`),
      await call('GET', '/orders/999999999'),
      await call('PUT', cart),
      await call('GET', '/nothing'),
    ].map(({ status }) => status);
    assert.deepEqual(statuses, [404, 400, 409, 404, 405, 404]);
  });
});
