const hourMs = 3_600_000;
/** No work is worth keeping longer than this beyond its last use. */
const maxCreditMs = 14 * 24 * hourMs;

/**
 * How long a record is worth keeping, in milliseconds since the epoch, to compare with others: its last use, and an hour more for every second
 * that its work took, for each 100 MiB that it holds. A compilation of a minute that left 10 MiB outlives a copied gigabyte by days.
 */
export function keepUntilMs({ durationMs, sizeBytes }: { readonly durationMs: number; readonly sizeBytes: number }, usedAtMs: number): number {
  const hundreds = Math.max(sizeBytes, 1) / (100 << 20);
  return usedAtMs + Math.min(maxCreditMs, ((durationMs / 1000) * hourMs) / hundreds);
}
