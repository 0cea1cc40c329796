/** A class of its own for values of one type in expressions: CEL's evaluator knows them by it. `fields` go onto the instance. */
export function namedClass(name: string): new (fields?: object) => object {
  return class {
    readonly [Symbol.toStringTag] = name;

    constructor(fields: object = {}) {
      Object.assign(this, fields);
    }
  };
}
