/** What a probe found. `message` says why it failed. */
export interface ProbeOutcome { readonly isSuccess: boolean; readonly message: string }
