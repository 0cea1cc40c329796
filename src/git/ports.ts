/** What git hosting asks before a protected branch moves, and tells after any ref has moved. */
export interface PushGate {
  /**
   * Decides one update of a protected branch. `write` streams text to the pusher (`remote:` lines).
   * The new commit's objects are in the repository and kept by a ref, so a job can fetch it.
   * The signal aborts when the pusher goes away or the server stops: whatever was started for the push must end then.
   */
  check(update: RefUpdate, write: (line: string) => void, signal: AbortSignal): Promise<PushVerdict>;
  /** Runs after the ref has moved, protected or not; what it writes still reaches the pusher. Its errors never undo the push. */
  accepted(update: RefUpdate, write: (line: string) => void, signal: AbortSignal): Promise<void>;
}

export interface RefUpdate {
  /** Namespace and name of the Repository resource. */
  namespace: string;
  repository: string;
  /** `refs/heads/main`. */
  ref: string;
  /** 40 hex digits; undefined when the ref is new. */
  before: string | undefined;
  /** Undefined when the ref is deleted. */
  after: string | undefined;
  actor: string;
  /** Whether the ref is a protected branch, that is, whether `check` was asked about it. */
  isProtected: boolean;
}

export type PushVerdict = { isAccepted: true } | { isAccepted: false; reason: string };

/** Who may push or fetch. */
export interface GitAuthenticator {
  /** The user of the credentials, or undefined. Both values come from HTTP Basic; `token` is compared in constant time. */
  authenticate(user: string, token: string, signal: AbortSignal): Promise<string | undefined>;
}
