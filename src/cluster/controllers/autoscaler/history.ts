/** How many replicas were recommended, or added or taken away, at a time. */
export interface Dated { readonly atMs: number; readonly replicas: number }

/** What an autoscaler remembers. It is lost with the process; the windows then start anew with the current size. */
export interface History {
  readonly recommendations: readonly Dated[];
  readonly scaleUps: readonly Dated[];
  readonly scaleDowns: readonly Dated[];
}

export const emptyHistory: History = { recommendations: [], scaleUps: [], scaleDowns: [] };

/** Nothing older than the longest window that Kubernetes allows is of use. */
const keptMs = 3_600_000;

export function withRecommendation(history: History, nowMs: number, replicas: number): History {
  return { ...history, recommendations: recent([...history.recommendations, { atMs: nowMs, replicas }], nowMs) };
}

export function withScaling(history: History, nowMs: number, from: number, to: number): History {
  if (to > from) return { ...history, scaleUps: recent([...history.scaleUps, { atMs: nowMs, replicas: to - from }], nowMs) };
  return { ...history, scaleDowns: recent([...history.scaleDowns, { atMs: nowMs, replicas: from - to }], nowMs) };
}

function recent(entries: readonly Dated[], nowMs: number): Dated[] {
  return entries.filter(({ atMs }) => nowMs - atMs <= keptMs);
}
