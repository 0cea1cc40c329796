'use strict';

const { add, discount, remove, total } = require('../../src/cart.js');

const mug = { id: 'red-mug', cents: 500 };
const lamp = { id: 'red-lamp', cents: 675 };

describe('cart', () => {
  test('an empty cart costs nothing', () => {
    expect(total([])).toBe(0);
  });

  test('the total counts quantities', () => {
    expect(total(add(add([], mug, 2), lamp, 1))).toBe(1675);
  });

  test('adding a product twice adds up its quantity', () => {
    expect(add(add([], mug, 1), mug, 2)).toEqual([{ product: 'red-mug', quantity: 3, cents: 500 }]);
  });

  test('adding does not change the cart it was given', () => {
    const cart = add([], mug, 1);
    add(cart, mug, 1);
    expect(cart[0].quantity).toBe(1);
  });

  test.each([0, -1, 1.5, '2'])('a quantity of %p is refused', (quantity) => {
    expect(() => add([], mug, quantity)).toThrow(RangeError);
  });

  test('removing takes the whole line', () => {
    expect(remove(add(add([], mug, 2), lamp, 1), 'red-mug')).toEqual([{ product: 'red-lamp', quantity: 1, cents: 675 }]);
  });

  test('there is a discount from 100 euros on', () => {
    expect([discount(9_999), discount(10_000), discount(10_019)]).toEqual([0, 1_000, 1_001]);
  });
});
