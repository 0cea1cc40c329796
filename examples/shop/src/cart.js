'use strict';

/** Prices are whole cents. A cart is a list of { product, quantity, cents }. */

function total(cart) {
  return cart.reduce((sum, { quantity, cents }) => sum + quantity * cents, 0);
}

function add(cart, product, quantity) {
  if (!Number.isInteger(quantity) || quantity < 1) throw new RangeError('quantity must be a whole number of at least 1');
  const known = cart.find((line) => line.product === product.id);
  if (known === undefined) return [...cart, { product: product.id, quantity, cents: product.cents }];
  return cart.map((line) => (line === known ? { ...line, quantity: line.quantity + quantity } : line));
}

function remove(cart, productId) {
  return cart.filter((line) => line.product !== productId);
}

/** Ten per cent off from 100 euros on, rounded down to whole cents. */
function discount(cents) {
  return cents >= 10_000 ? Math.floor(cents / 10) : 0;
}

module.exports = { add, discount, remove, total };
