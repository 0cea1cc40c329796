'use strict';

const { find, products, search } = require('../../src/catalog.js');

describe('catalog', () => {
  test('every product has an id of its own', () => {
    expect(new Set(products.map(({ id }) => id)).size).toBe(products.length);
  });
});

describe('search', () => {
  test('finds by all words, always in the same order', () => {
    const found = search('red', 1);
    expect(found.every(({ name }) => name.startsWith('red'))).toBe(true);
    expect(search('red', 1)).toEqual(found);
    expect(search('red mug', 1)).toEqual([find('red-mug')]);
    expect(search('purple', 1)).toEqual([]);
  });
});
