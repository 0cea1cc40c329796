/** What the hook program and the server say to each other over the unix socket: one JSON object a line, each way. */

/** The first and only message of the hook. `token` names the push that the server itself started. */
export interface HookRequest {
  token: string;
  isAtomic: boolean;
  /** Object ids in hex; all zeros where a ref does not exist. */
  commands: { before: string; after: string; ref: string }[];
}

/** `line`: text for the pusher. `report`: what became of a ref, final once it is sent. `done`: every ref has been reported. */
export type HookReply = { line: string } | { report: { ref: string; isAccepted: boolean; reason?: string } } | { done: true };
