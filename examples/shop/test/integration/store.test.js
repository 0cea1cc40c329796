'use strict';

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');
const { Store } = require('../../src/store.js');

describe('store, on a real database', () => {
  const store = new Store(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379');
  const line = { product: 'red-mug', quantity: 2, cents: 500 };
  let id;

  before(() => store.open());
  after(() => store.close());
  beforeEach(() => {
    id = randomUUID();
  });

  it('answers', async () => {
    await store.ping();
    assert.equal(store.isReady, true);
  });

  it('gives an empty cart to a stranger', async () => {
    assert.deepEqual(await store.cart(id), []);
  });

  it('keeps a cart', async () => {
    await store.saveCart(id, [line]);
    assert.deepEqual(await store.cart(id), [line]);
  });

  it('lets carts expire', async () => {
    await store.saveCart(id, [line]);
    const seconds = await store.client.ttl(`cart:${id}`);
    assert.ok(seconds > 0 && seconds <= 86_400);
  });

  it('turns a cart into an order and empties it', async () => {
    await store.saveCart(id, [line]);
    const number = await store.order(id, { lines: [line] });
    assert.deepEqual(await store.orderByNumber(number), { number, lines: [line] });
    assert.deepEqual(await store.cart(id), []);
  });

  it('numbers orders one after the other, also when they come together', async () => {
    const numbers = await Promise.all(Array.from({ length: 10 }, () => store.order(id, { lines: [] })));
    assert.equal(new Set(numbers).size, 10);
  });
});
