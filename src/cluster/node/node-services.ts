import type { EventRecorder, KubeClient } from '../../client/mod.ts';
import type { Clock, Logger } from '../../kernel/mod.ts';
import type { ConfigSource } from './config-source.ts';
import type { ImageKeeper } from './image-keeper.ts';
import type { ContainerRuntime, ServiceDrain } from './ports.ts';
import type { RuntimeIndex } from './runtime-index.ts';
import type { DnsSettings } from './sandbox-spec.ts';
import type { Slots } from './slots.ts';
import type { VolumeManager } from './volumes/volume-manager.ts';

/** What the workers of all pods share. */
export interface NodeServices {
  readonly runtime: ContainerRuntime;
  readonly index: RuntimeIndex;
  readonly client: KubeClient;
  readonly source: ConfigSource;
  readonly images: ImageKeeper;
  readonly volumes: VolumeManager;
  readonly drain: ServiceDrain | undefined;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly node: NodeFacts;
  /** The containers that may be started at the same time. */
  readonly starts: Slots;
}

/** What pods are told of their node. */
export interface NodeFacts {
  readonly name: string;
  readonly ip: string;
  readonly dns: DnsSettings;
  readonly memoryBytes: number;
  /** Processes that one container may have. */
  readonly podPidsLimit: number;
}
