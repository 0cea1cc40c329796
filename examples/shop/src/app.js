'use strict';

const { version } = require('../package.json');
const { add, discount, remove, total } = require('./cart.js');
const catalog = require('./catalog.js');

const maxBodyBytes = 64 << 10;

/** The request handler over a store. Every answer is JSON. */
function createApp(store) {
  const routes = [
    ['GET', /^\/version$/, () => ok({ version })],
    ['GET', /^\/healthz$/, () => ok({ status: 'ok' })],
    ['GET', /^\/ready$/, async () => (await store.ping(), ok({ status: 'ready' }))],
    ['GET', /^\/products$/, () => ok(catalog.products)],
    ['GET', /^\/search$/, ({ url }) => ok({ version, found: catalog.search(url.searchParams.get('q') ?? '') })],
    ['GET', /^\/carts\/([\w-]{1,64})$/, async ({ params: [id] }) => ok(summary(await store.cart(id)))],
    ['POST', /^\/carts\/([\w-]{1,64})$/, addToCart],
    ['DELETE', /^\/carts\/([\w-]{1,64})\/([\w-]{1,64})$/, removeFromCart],
    ['POST', /^\/carts\/([\w-]{1,64})\/order$/, orderCart],
    ['GET', /^\/orders\/(\d{1,12})$/, showOrder],
  ];

  async function addToCart({ params: [id], body }) {
    const product = catalog.find(body.product);
    if (product === undefined) return fail(404, `there is no product ${JSON.stringify(body.product)}`);
    const cart = add(await store.cart(id), product, body.quantity ?? 1);
    await store.saveCart(id, cart);
    return ok(summary(cart));
  }

  async function removeFromCart({ params: [id, product] }) {
    const cart = remove(await store.cart(id), product);
    await store.saveCart(id, cart);
    return ok(summary(cart));
  }

  async function orderCart({ params: [id] }) {
    const cart = await store.cart(id);
    if (cart.length === 0) return fail(409, 'the cart is empty');
    return { status: 201, body: { number: await store.order(id, summary(cart)) } };
  }

  async function showOrder({ params: [number] }) {
    const order = await store.orderByNumber(number);
    return order === undefined ? fail(404, `there is no order ${number}`) : ok(order);
  }

  return async function handle(request, response) {
    const { status, body } = await answer(request, routes).catch((error) => failure(error));
    const text = JSON.stringify(body);
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.end(text);
  };
}

function summary(cart) {
  const cents = total(cart);
  return { lines: cart, cents, discountCents: discount(cents), totalCents: cents - discount(cents) };
}

async function answer(request, routes) {
  const url = new URL(request.url, 'http://shop');
  const matching = routes.filter(([, pattern]) => pattern.test(url.pathname));
  if (matching.length === 0) return fail(404, 'not found');
  const route = matching.find(([method]) => method === request.method);
  if (route === undefined) return fail(405, 'method not allowed');
  const [method, pattern, handler] = route;
  const body = method === 'POST' ? await readJson(request) : undefined;
  return handler({ url, params: pattern.exec(url.pathname).slice(1), body });
}

async function readJson(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > maxBodyBytes) throw Object.assign(new Error('the body is too large'), { status: 413 });
    chunks.push(chunk);
  }
  if (size === 0) return {};
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw Object.assign(new Error('the body is not JSON'), { status: 400 });
  }
}

function ok(body) {
  return { status: 200, body };
}

function fail(status, message) {
  return { status, body: { error: message } };
}

function failure(error) {
  if (error instanceof RangeError) return fail(400, error.message);
  return fail(error.status ?? 503, error.message);
}

module.exports = { createApp };
