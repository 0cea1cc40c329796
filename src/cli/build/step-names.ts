import type { BuildReply, PlannedStage } from '../../api/mod.ts';

/** How steps are named to people: `[build 2/4]`, from the plan that comes first. */
export class StepNames {
  #stages: readonly PlannedStage[] = [];

  plan({ stages }: Extract<BuildReply, { kind: 'planned' }>): void {
    this.#stages = stages;
  }

  get stepCount(): number {
    return this.#stages.reduce((sum, { stepNumbers }) => sum + stepNumbers.length, 0);
  }

  /** `[build 2/4] RUN make`; a plan of one stage needs no name. */
  of(stage: number, number: number, text: string): string {
    const planned = this.#stages.find(({ index }) => index === stage);
    if (planned === undefined) return text;
    const name = this.#stages.length === 1 && planned.name.startsWith('stage-') ? '' : `${planned.name} `;
    return `[${name}${planned.stepNumbers.indexOf(number) + 1}/${planned.stepNumbers.length}] ${text.replace(/\s+/g, ' ')}`;
  }
}

/** `0.1s`, `12.3s`, `2m05s` */
export function formatDuration(ms: number): string {
  const seconds = ms / 1000;
  return seconds < 100 ? `${seconds.toFixed(1)}s` : `${Math.floor(seconds / 60)}m${String(Math.round(seconds % 60)).padStart(2, '0')}s`;
}
