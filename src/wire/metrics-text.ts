/** One sample of the text format of metrics. */
export interface MetricSample {
  readonly name: string;
  /** What the TYPE comment of its family says; `untyped` without one. */
  readonly type: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const line = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*$/;
const label = /\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:\\.|[^"\\])*)"\s*(?:,|$)/y;
const parts = /_(?:bucket|count|sum)$/;

/** Reads the Prometheus text format, version 0.0.4. Lines that are none are passed over, as scrapers do; `limit` bounds the samples. */
export function parseMetricsText(text: string, limit: number): MetricSample[] {
  const types = new Map<string, string>();
  const samples: MetricSample[] = [];
  for (const row of text.split('\n')) {
    if (row.startsWith('#')) {
      const [, name, type] = /^#\s*TYPE\s+(\S+)\s+(\S+)/.exec(row) ?? [];
      if (name !== undefined && type !== undefined) types.set(name, type);
      continue;
    }
    const [, name, labels = '', amount = ''] = line.exec(row) ?? [];
    const value = valueOf(amount);
    const read = name === undefined ? undefined : parseLabels(labels);
    if (name === undefined || read === undefined || Number.isNaN(value)) continue;
    samples.push({ name, type: types.get(name) ?? partType(types.get(name.replace(parts, ''))) ?? 'untyped', labels: read, value });
    if (samples.length === limit) break;
  }
  return samples;
}

/** The parts of histograms and summaries only grow, like counters. */
function partType(type: string | undefined): string | undefined {
  return type === 'histogram' || type === 'summary' ? 'counter' : type;
}

function valueOf(text: string): number {
  return text === '' ? Number.NaN : Number(text.replace(/^\+?Inf$/, 'Infinity').replace(/^-Inf$/, '-Infinity'));
}

function parseLabels(text: string): Record<string, string> | undefined {
  const labels: Record<string, string> = {};
  label.lastIndex = 0;
  for (let at = 0; at < text.trimEnd().length; at = label.lastIndex) {
    label.lastIndex = at;
    const [, name, value = ''] = label.exec(text) ?? [];
    if (name === undefined) return undefined;
    labels[name] = value.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
  }
  return labels;
}
