/** An Indexed Job's list of indexes as text, `1,3-5,7`, as numbers; undefined when it is not one or not in order. */
export function parseIndexes(text: string): Set<number> | undefined {
  const indexes = new Set<number>();
  let last = -1;
  for (const part of text === '' ? [] : text.split(',')) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (range === null) return undefined;
    const [first, end] = [Number(range[1]), Number(range[2] ?? range[1])];
    if (first <= last || end < first || end - first > 1_000_000) return undefined;
    for (let index = first; index <= end; index += 1) indexes.add(index);
    last = end;
  }
  return indexes;
}

/** The reverse: intervals of two are written with a comma, longer ones with a dash, as Kubernetes writes `status.completedIndexes`. */
export function formatIndexes(indexes: Iterable<number>): string {
  const sorted = [...new Set(indexes)].toSorted((a, b) => a - b);
  const parts: string[] = [];
  for (let at = 0; at < sorted.length; ) {
    const first = sorted[at] ?? 0;
    let length = 1;
    while (sorted[at + length] === first + length) length += 1;
    if (length === 1) parts.push(String(first));
    else if (length === 2) parts.push(`${first},${first + 1}`);
    else parts.push(`${first}-${first + length - 1}`);
    at += length;
  }
  return parts.join(',');
}
