import type { User } from '../access/user.ts';
import type { ApiObject, Kind } from '../kinds/kind.ts';

/** A write that is about to happen. No `object`: a deletion. No `user`: the server itself writes. */
export interface AdmissionRequest {
  readonly kind: Kind;
  readonly object: ApiObject | undefined;
  readonly old: ApiObject | undefined;
  readonly user: User | undefined;
  readonly part: 'main' | 'status' | 'all';
  /** Told to the client as Warning headers. */
  readonly warnings: string[];
  /** Called when the write is over, whether it succeeded or not. */
  onFinished(release: () => void): void;
}

/** Looks at a write beyond what its kind knows; throws what the client is told when it must not happen. May change the object. */
export type AdmissionCheck = (request: AdmissionRequest) => void;
