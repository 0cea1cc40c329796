import type { BuildReply } from '../../api/mod.ts';
import type { BuildView } from './plain-view.ts';
import { warningText } from './plain-view.ts';
import { formatDuration, StepNames } from './step-names.ts';

interface ShownStep {
  readonly name: string;
  readonly startedAt: number;
  status: 'running' | 'cached' | 'done' | 'failed';
  durationMs: number;
  missReason?: string;
  /** The last lines it printed; of a step that failed many, else a few. */
  output: string[];
}

export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  write(text: string): void;
}

const outputLines = 4;
const failedOutputLines = 60;
const marks = { running: '=>', cached: '=> CACHED', done: '=>', failed: '=> ERROR' } as const;

/** For terminals: all steps that run, with their times and last lines, drawn over and over in place. */
export class LiveView implements BuildView {
  readonly #terminal: Terminal;
  readonly #explains: boolean;
  readonly #names = new StepNames();
  readonly #steps = new Map<number, ShownStep>();
  /** The step that runs in each stage. */
  readonly #stageOf = new Map<number, number>();
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #note = '';
  #drawnLines = 0;

  constructor(terminal: Terminal, options: { explains: boolean }) {
    this.#terminal = terminal;
    this.#explains = options.explains;
    this.#timer = setInterval(() => this.#draw(false), 100).unref();
  }

  show(reply: BuildReply): void {
    if (reply.kind === 'planned') this.#names.plan(reply);
    else if (reply.kind === 'warning') this.#above(`WARN: ${warningText(reply.place)}`);
    else if (reply.kind === 'note') this.#note = reply.text;
    else if (reply.kind === 'step-started') {
      this.#stageOf.set(reply.stage, reply.number);
      this.#steps.set(reply.number, { name: this.#names.of(reply.stage, reply.number, reply.text), startedAt: performance.now(), status: 'running', durationMs: 0, output: [] });
    } else if (reply.kind === 'output') this.#output(reply.stage, reply.text);
    else if (reply.kind === 'step-finished') this.#update(reply.number, { status: reply.isCached ? 'cached' : 'done', durationMs: reply.durationMs, ...(reply.missReason === undefined ? {} : { missReason: reply.missReason }) });
    else if (reply.kind === 'stage-failed') this.#fail(reply.stage);
  }

  end(): void {
    clearInterval(this.#timer);
    this.#draw(true);
  }

  #update(number: number, change: Partial<ShownStep>): void {
    const step = this.#steps.get(number);
    if (step !== undefined) Object.assign(step, change);
  }

  #output(stage: number, text: string): void {
    const step = this.#steps.get(this.#stageOf.get(stage) ?? -1);
    if (step === undefined) return;
    const lines = ((step.output.pop() ?? '') + text.replaceAll('\r\n', '\n')).split('\n');
    step.output = [...step.output, ...lines].slice(-failedOutputLines);
  }

  #fail(stage: number): void {
    const step = this.#steps.get(this.#stageOf.get(stage) ?? -1);
    if (step?.status === 'running') Object.assign(step, { status: 'failed', durationMs: performance.now() - step.startedAt });
  }

  /** A line that stays, above what is redrawn. */
  #above(text: string): void {
    this.#erase();
    this.#terminal.write(`${text}\n`);
    this.#draw(false);
  }

  #erase(): void {
    if (this.#drawnLines > 0) this.#terminal.write(`\u001B[${this.#drawnLines}A\u001B[J`);
    this.#drawnLines = 0;
  }

  #draw(isLast: boolean): void {
    const lines = this.#lines(isLast).map((line) => cut(line, this.#terminal.columns));
    // What does not fit cannot be drawn over: the newest lines are the ones of interest.
    const shown = isLast ? lines : lines.slice(0, 1).concat(lines.slice(1).slice(-Math.max(1, this.#terminal.rows - 3)));
    this.#erase();
    this.#terminal.write(shown.map((line) => `${line}\n`).join(''));
    this.#drawnLines = shown.length;
  }

  #lines(isLast: boolean): string[] {
    const steps = [...this.#steps.values()];
    const finished = steps.filter(({ status }) => status !== 'running').length;
    const now = performance.now();
    const lines = [`[+] Building ${formatDuration(now - this.#startedAt)} (${finished}/${this.#names.stepCount})${isLast || this.#note === '' ? '' : ` ${this.#note}`}`];
    for (const step of steps) {
      const time = formatDuration(step.status === 'running' ? now - step.startedAt : step.durationMs);
      lines.push(aligned(` ${marks[step.status]} ${step.name}`, time, this.#terminal.columns));
      if (this.#explains && step.missReason !== undefined) lines.push(`    not cached: ${step.missReason}`);
      const count = step.status === 'running' ? outputLines : step.status === 'failed' ? failedOutputLines : 0;
      if (count > 0) for (const line of step.output.filter((text) => text !== '').slice(-count)) lines.push(`    # ${visible(line)}`);
    }
    return lines;
  }
}

function aligned(left: string, right: string, columns: number): string {
  const width = columns - right.length - 2;
  return `${cut(left, width).padEnd(Math.max(0, width))} ${right}`;
}

function cut(text: string, columns: number): string {
  return text.length < columns ? text : `${text.slice(0, Math.max(0, columns - 2))}…`;
}

/** Without what would move the cursor: escape sequences, and what a carriage return overwrites. */
function visible(line: string): string {
  const shown = line.replace(/\r$/, '').split('\r').at(-1) ?? '';
  // oxlint-disable-next-line no-control-regex -- escape sequences begin with a control character
  return shown.replace(/\u001B(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)|[@-_])/g, '').replace(/[\u0000-\u001F\u007F]/g, ' ');
}
