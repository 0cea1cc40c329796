'use strict';

const { createHash } = require('node:crypto');

const colours = ['red', 'green', 'blue', 'black', 'white'];
const things = ['mug', 'lamp', 'chair', 'scarf', 'clock', 'vase', 'rug', 'bowl'];

const products = colours.flatMap((colour, row) =>
  things.map((thing, column) => ({ id: `${colour}-${thing}`, name: `${colour} ${thing}`, cents: 500 + row * 250 + column * 175 })),
);

function find(id) {
  return products.find((product) => product.id === id);
}

/**
 * Products whose name contains the words, best first. The order is meant to be expensive: every product is scored by hashing it with
 * each word many times, as a stand-in for a ranking that costs CPU.
 */
function search(query, rounds = 1500) {
  const words = query.toLowerCase().split(/\s+/).filter((word) => word !== '');
  return products
    .filter(({ name }) => words.every((word) => name.includes(word)))
    .map((product) => ({ product, score: words.reduce((sum, word) => sum + relevance(product.name, word, rounds), 0) }))
    .sort((a, b) => b.score - a.score || a.product.id.localeCompare(b.product.id))
    .map(({ product }) => product);
}

function relevance(name, word, rounds) {
  let digest = Buffer.from(name + word);
  for (let round = 0; round < rounds; round += 1) digest = createHash('sha256').update(digest).digest();
  return digest.readUInt32BE(0) / 2 ** 32 + word.length / name.length;
}

module.exports = { find, products, search };
