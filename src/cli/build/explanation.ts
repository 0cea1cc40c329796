import type { BuildReply } from '../../api/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import { formatTable } from '../output.ts';
import { warningText } from './plain-view.ts';
import { formatDuration, StepNames } from './step-names.ts';

/** A table of all steps: whether the cache had them, and if not, why. */
export function explain(replies: readonly BuildReply[]): string {
  const names = new StepNames();
  const texts = new Map<number, string>();
  const rows: string[][] = [];
  for (const reply of replies) {
    if (reply.kind === 'planned') names.plan(reply);
    if (reply.kind === 'step-started') texts.set(reply.number, names.of(reply.stage, reply.number, reply.text));
    if (reply.kind !== 'step-finished') continue;
    const text = texts.get(reply.number) ?? '';
    const shown = text.length > 60 ? `${text.slice(0, 59)}…` : text;
    if (reply.isCached) rows.push([String(reply.number), shown, 'cached', '', '']);
    else if (reply.missReason !== undefined) rows.push([String(reply.number), shown, 'ran', formatDuration(reply.durationMs), reply.missReason]);
    else rows.push([String(reply.number), shown, '-', '', 'changes no files']);
  }
  const sorted = rows.toSorted((a, b) => Number(a[0]) - Number(b[0]));
  return `${formatTable(['STEP', 'INSTRUCTION', 'RESULT', 'TIME', 'WHY'], sorted)}\n`;
}

/** Prints broken rules; `invalid` when there are any, so that a pipeline can wait for none. */
export function reportChecks(replies: readonly BuildReply[], print: (text: string) => void): void {
  const warnings = replies.flatMap((reply) => (reply.kind === 'warning' ? [reply.place] : []));
  for (const place of warnings) print(warningText(place));
  if (warnings.length > 0) throw new GantryError('invalid', `${warnings.length} ${warnings.length === 1 ? 'rule is' : 'rules are'} broken`);
  print('no rule is broken');
}
