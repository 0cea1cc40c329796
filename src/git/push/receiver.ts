import { GantryError, type Logger, systemClock, toGantryError } from '../../kernel/mod.ts';
import type { BareRepository, RefChange } from '../bare-repository.ts';
import type { RepositoryName } from '../names.ts';
import type { PushGate, PushVerdict, RefUpdate } from '../ports.ts';
import type { RepositoryRoot } from '../repository-root.ts';
import { type BranchPolicy, isProtectedRef, type Judgement, judgeCommand, type RefFacts } from './judge.ts';

/** A push as the hook hands it over, and who it is from. */
export interface Push {
  readonly repository: RepositoryName;
  readonly actor: string;
  readonly isAtomic: boolean;
  readonly changes: readonly RefChange[];
}

/** What the pusher gets to see. `report` is final for its ref and must be called once for each. */
export interface PushAnswer {
  write(line: string): void;
  report(ref: string, verdict: PushVerdict): void;
}

export interface PushReceiverOptions {
  readonly root: RepositoryRoot;
  readonly gate: PushGate;
  /** `not-found` when the Repository resource is gone. */
  readonly policyOf: (name: RepositoryName) => BranchPolicy;
  /** Called after refs have moved, so that the resource's status follows. */
  readonly onMoved: (name: RepositoryName) => void;
  readonly log: Logger;
}

/** Prefix of the refs that keep commits which a gate is looking at, or has refused. Hidden from fetches. */
export const candidatePrefix = 'refs/gantry/candidates/';

const atomicReason = 'another ref of this atomic push was refused';

/** Decides and carries out pushes: unprotected refs first and at once, then protected ones, one after the other, through the gate. */
export class PushReceiver {
  readonly #options: PushReceiverOptions;

  constructor(options: PushReceiverOptions) {
    this.#options = options;
  }

  /** Reports every ref, whatever happens. */
  async receive(push: Push, answer: PushAnswer, signal: AbortSignal): Promise<void> {
    const reported = new Set<string>();
    const once: PushAnswer = {
      write: (line) => answer.write(line),
      report: (ref, verdict) => {
        if (reported.has(ref)) return;
        reported.add(ref);
        answer.report(ref, verdict.isAccepted ? verdict : { isAccepted: false, reason: oneLine(verdict.reason) });
      },
    };
    try {
      const repository = await this.#options.root.get(push.repository);
      const policy = this.#options.policyOf(push.repository);
      await (push.isAtomic ? this.#receiveAtomic(push, repository, policy, once, signal) : this.#receiveEach(push, repository, policy, once, signal));
    } catch (error) {
      const failure = toGantryError(error);
      if (failure.code === 'internal') this.#options.log.error('push failed', { repository: push.repository, err: error });
      for (const { ref } of push.changes) once.report(ref, { isAccepted: false, reason: failure.message });
    }
  }

  async #receiveEach(push: Push, repository: BareRepository, policy: BranchPolicy, answer: PushAnswer, signal: AbortSignal): Promise<void> {
    const judged = await this.#judge(push, repository, policy, signal);
    const accepted: RefUpdate[] = [];
    for (const { change, judgement } of judged.toSorted((a, b) => order(a.judgement) - order(b.judgement))) {
      const update = this.#updateOf(push, change, policy);
      try {
        const verdict = judgement.decision === 'refuse' ? { isAccepted: false as const, reason: judgement.reason } : await this.#admit(repository, update, judgement, answer, signal);
        if (verdict.isAccepted) {
          await repository.updateRefs([change], signal);
          accepted.push(update);
        }
        answer.report(change.ref, verdict);
      } catch (error) {
        answer.report(change.ref, { isAccepted: false, reason: this.#failureOf(error, update) });
      }
      if (accepted.at(-1) === update) await this.#afterMove(repository, [update], answer, signal);
    }
  }

  async #receiveAtomic(push: Push, repository: BareRepository, policy: BranchPolicy, answer: PushAnswer, signal: AbortSignal): Promise<void> {
    const judged = await this.#judge(push, repository, policy, signal);
    const updates = judged.map(({ change }) => this.#updateOf(push, change, policy));
    for (const [index, { change, judgement }] of judged.entries()) {
      const update = updates[index];
      if (update === undefined || judgement.decision === 'move') continue;
      const verdict = judgement.decision === 'refuse' ? { isAccepted: false as const, reason: judgement.reason } : await this.#admit(repository, update, judgement, answer, signal);
      if (verdict.isAccepted) continue;
      answer.report(change.ref, verdict);
      for (const other of push.changes) answer.report(other.ref, { isAccepted: false, reason: atomicReason });
      return;
    }
    await repository.updateRefs(push.changes, signal);
    for (const { ref } of push.changes) answer.report(ref, { isAccepted: true });
    await this.#afterMove(repository, updates, answer, signal);
  }

  async #judge(push: Push, repository: BareRepository, policy: BranchPolicy, signal: AbortSignal): Promise<{ change: RefChange; judgement: Judgement }[]> {
    const judged = [];
    for (const change of push.changes) judged.push({ change, judgement: judgeCommand(change, policy, await factsOf(repository, change, signal)) });
    return judged;
  }

  /** Asks the gate about protected refs, with the candidate kept by a ref of its own. */
  async #admit(repository: BareRepository, update: RefUpdate, judgement: Judgement, answer: PushAnswer, signal: AbortSignal): Promise<PushVerdict> {
    if (judgement.decision !== 'gate' || update.after === undefined) return { isAccepted: true };
    await repository.setRef(`${candidatePrefix}${update.after}`, update.after, signal);
    return this.#options.gate.check(update, (line) => answer.write(line), signal);
  }

  /** Everything here is after the fact: its failures are told, and change nothing. */
  async #afterMove(repository: BareRepository, updates: readonly RefUpdate[], answer: PushAnswer, signal: AbortSignal): Promise<void> {
    for (const update of updates) {
      this.#options.onMoved({ namespace: update.namespace, name: update.repository });
      try {
        if (update.isProtected && update.after !== undefined) await repository.setRef(`${candidatePrefix}${update.after}`, undefined, signal);
        await this.#options.gate.accepted(update, (line) => answer.write(line), signal);
      } catch (error) {
        if (signal.aborted) return;
        this.#options.log.warn('work after a push failed', { ref: update.ref, err: error });
        answer.write(`${update.ref} has moved, but what follows failed: ${oneLine(toGantryError(error).message)}`);
      }
    }
  }

  #updateOf(push: Push, change: RefChange, policy: BranchPolicy): RefUpdate {
    return { ...change, namespace: push.repository.namespace, repository: push.repository.name, actor: push.actor, isProtected: isProtectedRef(change.ref, policy) };
  }

  #failureOf(error: unknown, update: RefUpdate): string {
    const failure = toGantryError(error);
    if (failure.code === 'internal') this.#options.log.error('push failed', { ref: update.ref, err: error });
    return failure.message;
  }
}

function order(judgement: Judgement): number {
  return judgement.decision === 'gate' ? 1 : 0;
}

async function factsOf(repository: BareRepository, change: RefChange, signal: AbortSignal): Promise<RefFacts> {
  // An invalid name must not reach git; judgeCommand refuses it before it looks at the facts.
  if (!/^refs\/[^-]/.test(change.ref)) return { current: undefined, isFastForward: false, isCommit: false };
  const current = await repository.refValue(change.ref, signal);
  if (change.after === undefined) return { current, isFastForward: true, isCommit: false };
  const isCommit = await repository.hasCommit(change.after, signal);
  const isFastForward = current === undefined || (isCommit && (await repository.hasCommit(current, signal)) && (await repository.isAncestor(current, change.after, signal)));
  return { current, isFastForward, isCommit };
}

/** The reason as git's report line can carry it. */
function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 300);
}

/** The object id of a hook's command line, undefined for all zeros; `unsupported` for ids that are not SHA-1. */
export function objectIdOf(text: string): string | undefined {
  if (/^0+$/.test(text)) return undefined;
  if (!/^[0-9a-f]{40}$/.test(text)) throw new GantryError('unsupported', 'only SHA-1 repositories are supported');
  return text;
}

/** Removes candidates that no gate is looking at and whose commit is older than `maxAgeMs`. */
export async function pruneCandidates(repository: BareRepository, isInUse: (commit: string) => boolean, maxAgeMs: number, signal: AbortSignal): Promise<void> {
  for (const { ref, commit } of await repository.refs(candidatePrefix, signal)) {
    if (isInUse(commit)) continue;
    const { timestamp } = await repository.commitInfo(commit, signal);
    if (systemClock.now() - Date.parse(timestamp) > maxAgeMs) await repository.setRef(ref, undefined, signal);
  }
}
