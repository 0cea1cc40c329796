import { formatPlace } from '../../kernel/mod.ts';
import type { BuildReply } from '../../api/mod.ts';
import { formatDuration, StepNames } from './step-names.ts';

/** Where the progress of a build is shown. */
export interface BuildView {
  show(reply: BuildReply): void;
  /** Nothing follows. */
  end(): void;
}

/** For logs: lines in the order things happen, each with its step's number (`#5 …`). */
export class PlainView implements BuildView {
  readonly #write: (text: string) => void;
  readonly #explains: boolean;
  readonly #names = new StepNames();
  /** By stage: the step that runs, and its unfinished line. */
  readonly #running = new Map<number, { number: number; startedAt: number; rest: string }>();

  constructor(write: (text: string) => void, options: { explains: boolean }) {
    this.#write = write;
    this.#explains = options.explains;
  }

  show(reply: BuildReply): void {
    if (reply.kind === 'planned') this.#names.plan(reply);
    else if (reply.kind === 'warning') this.#line(`WARN: ${warningText(reply.place)}`);
    else if (reply.kind === 'note') this.#line(reply.text);
    else if (reply.kind === 'step-started') {
      this.#running.set(reply.stage, { number: reply.number, startedAt: performance.now(), rest: '' });
      this.#line(`#${reply.number} ${this.#names.of(reply.stage, reply.number, reply.text)}`);
    } else if (reply.kind === 'output') this.#output(reply.stage, reply.text);
    else if (reply.kind === 'step-finished') {
      this.#finishOutput(reply.stage);
      if (this.#explains && reply.missReason !== undefined) this.#line(`#${reply.number} NOT CACHED: ${reply.missReason}`);
      this.#line(`#${reply.number} ${reply.isCached ? 'CACHED' : `DONE ${formatDuration(reply.durationMs)}`}`);
    } else if (reply.kind === 'stage-failed') {
      this.#finishOutput(reply.stage);
      const running = this.#running.get(reply.stage);
      if (running !== undefined) this.#line(`#${running.number} ERROR`);
    } else if (reply.kind === 'finished') for (const tag of reply.tags) this.#line(`naming to ${tag}`);
  }

  end(): void {
    for (const stage of this.#running.keys()) this.#finishOutput(stage);
  }

  #output(stage: number, text: string): void {
    const running = this.#running.get(stage);
    if (running === undefined) return;
    const lines = (running.rest + text).split('\n');
    running.rest = lines.pop() ?? '';
    for (const line of lines) this.#outputLine(running, line);
  }

  #outputLine({ number, startedAt }: { number: number; startedAt: number }, line: string): void {
    this.#line(`#${number} ${((performance.now() - startedAt) / 1000).toFixed(3)} ${line.replace(/\r$/, '')}`);
  }

  #finishOutput(stage: number): void {
    const running = this.#running.get(stage);
    if (running === undefined || running.rest === '') return;
    this.#outputLine(running, running.rest);
    running.rest = '';
  }

  #line(text: string): void {
    this.#write(`${text}\n`);
  }
}

/** `Dockerfile:3:1: JSONArgsRecommended: …` */
export function warningText(place: Extract<BuildReply, { kind: 'warning' }>['place']): string {
  return formatPlace(place.reason === undefined ? place : { ...place, message: `${place.reason}: ${place.message}` });
}
