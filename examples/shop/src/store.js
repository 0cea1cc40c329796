'use strict';

const { createClient } = require('redis');

/** Carts and orders in Redis. Carts are forgotten after a day. */
class Store {
  constructor(url) {
    this.client = createClient({ url, socket: { reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, 1000) } });
    // Requests report what fails; without a listener a lost connection would end the process.
    this.client.on('error', () => undefined);
  }

  async open() {
    await this.client.connect();
  }

  get isReady() {
    return this.client.isReady;
  }

  async ping() {
    if (!this.client.isReady) throw new Error('no connection to the database');
    await this.client.ping();
  }

  async cart(id) {
    return JSON.parse((await this.client.get(`cart:${id}`)) ?? '[]');
  }

  async saveCart(id, cart) {
    await this.client.set(`cart:${id}`, JSON.stringify(cart), { EX: 86_400 });
  }

  /** Turns the cart into an order with the next number; both happen or neither. */
  async order(id, order) {
    const number = await this.client.incr('orders');
    await this.client.multi().set(`order:${number}`, JSON.stringify({ number, ...order })).del(`cart:${id}`).exec();
    return number;
  }

  async orderByNumber(number) {
    const text = await this.client.get(`order:${number}`);
    return text === null ? undefined : JSON.parse(text);
  }

  async close() {
    if (this.client.isOpen) this.client.destroy();
  }
}

module.exports = { Store };
