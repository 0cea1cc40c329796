/** The fields that conditions of all kinds share. */
export interface AnyCondition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
  lastUpdateTime?: string;
}

/** RFC 3339 with seconds, the form of metav1.Time. */
export function toTimestamp(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** The conditions with `condition` in the place of its type's old one; `lastTransitionTime` stays unless the status changed. */
export function withCondition<C extends AnyCondition>(conditions: readonly C[] | undefined, condition: C, nowMs: number): C[] {
  const all = conditions ?? [];
  const previous = all.find(({ type }) => type === condition.type);
  const isSameStatus = previous !== undefined && previous.status === condition.status;
  const next = { ...condition, lastTransitionTime: isSameStatus ? previous.lastTransitionTime : toTimestamp(nowMs) };
  return previous === undefined ? [...all, next] : all.map((other) => (other.type === condition.type ? next : other));
}

export function withoutCondition<C extends AnyCondition>(conditions: readonly C[] | undefined, type: string): C[] {
  return (conditions ?? []).filter((condition) => condition.type !== type);
}

export function findCondition<C extends AnyCondition>(conditions: readonly C[] | undefined, type: string): C | undefined {
  return conditions?.find((condition) => condition.type === type);
}
