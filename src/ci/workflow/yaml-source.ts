import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml';

/** What aliases may blow a file up to, in nodes. */
const maxExpandedNodes = 100_000;

/**
 * The YAML behind a workflow file. It is read a second time beside the workflow parser, which keeps the text of scalars with
 * expressions only as it stands in the file: indented, quoted and escaped.
 */
export class YamlSource {
  readonly #scalars = new Map<string, string>();
  /** Why the file must not be read further, or undefined. Mistakes of syntax are left to the workflow parser. */
  readonly problem: string | undefined;

  constructor(text: string) {
    const lineCounter = new LineCounter();
    const document = parseDocument(text, { lineCounter, uniqueKeys: false, prettyErrors: false });
    this.problem = isTooLarge(document) ? `the aliases of the file stand for more than ${maxExpandedNodes} values` : undefined;
    visit(document, {
      Scalar: (_key, { value, range }) => {
        if (typeof value !== 'string' || range === undefined || range === null) return;
        const { line, col } = lineCounter.linePos(range[0]);
        this.#scalars.set(`${line}:${col}`, value);
      },
    });
  }

  /** The text of the scalar that begins there. Lines and columns count from 1. */
  scalarAt(line: number, column: number): string | undefined {
    return this.#scalars.get(`${line}:${column}`);
  }
}

function isTooLarge(document: Document): boolean {
  const anchored = new Map<string, Node>();
  visit(document, { Node: (_key, node) => void ('anchor' in node && typeof node.anchor === 'string' && anchored.set(node.anchor, node)) });
  const sizes = new Map<unknown, number>();
  const sizeOf = (node: unknown, open: ReadonlySet<unknown>): number => {
    const known = sizes.get(node);
    if (known !== undefined) return known;
    // A circle is endless.
    if (open.has(node)) return maxExpandedNodes + 1;
    const inner = new Set([...open, node]);
    let size = 1;
    if (isAlias(node)) size += sizeOf(anchored.get(node.source), inner);
    else if (isMap(node)) for (const { key, value } of node.items) size += sizeOf(key, inner) + sizeOf(value, inner);
    else if (isSeq(node)) for (const item of node.items) size += sizeOf(item, inner);
    else if (!isScalar(node)) return 1;
    sizes.set(node, size);
    return size;
  };
  return sizeOf(document.contents, new Set()) > maxExpandedNodes;
}
