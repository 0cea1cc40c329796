import type { EventRecorder, Informers, KubeClient, ControllerOptions } from '../../client/mod.ts';
import type { Clock, Logger } from '../../kernel/mod.ts';

/** What every controller works with. */
export interface ControllerContext {
  readonly client: KubeClient;
  readonly informers: Informers;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  /** Passed to every `Controller`; for metrics. */
  readonly controllerOptions: ControllerOptions;
}
