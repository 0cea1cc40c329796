import { BuiltinSchemas } from '../../api/mod.ts';
import { type Clock, type Logger, systemClock } from '../../kernel/mod.ts';
import type { ObjectStore } from '../../store/mod.ts';
import { KubernetesProtobuf } from '../../wire/mod.ts';
import { type Authorizer, GroupAuthorizer } from './access/authorizer.ts';
import { NodeAuthorizer } from './access/node-authorizer.ts';
import { nodeRestriction } from './access/node-restriction.ts';
import { RoleAggregation } from './access/rbac/aggregation.ts';
import { escalationCheck } from './access/rbac/escalation.ts';
import { RbacAuthorizer } from './access/rbac/rbac-authorizer.ts';
import { BootstrapTokens } from './access/tokens/bootstrap-tokens.ts';
import { ServiceAccountTokens } from './access/tokens/service-account-tokens.ts';
import { SigningKey } from './access/tokens/signing-key.ts';
import { tokenReviewResource } from './access/tokens/token-requests.ts';
import { UnionAuthorizer } from './access/union-authorizer.ts';
import { type Authenticator, systemMasters } from './access/user.ts';
import { ConnectHandler } from './connect/connect-handler.ts';
import type { ConnectSubresource } from './connect/connect-subresource.ts';
import { podConnects } from './connect/pod-connect.ts';
import { DefinitionService } from './custom/definition-service.ts';
import { OpenApiHandler } from './discovery/openapi-handler.ts';
import { builtinKinds } from './kinds/builtin.ts';
import { emptyResources } from './kinds/empty-resources.ts';
import { KindRegistry } from './kinds/registry.ts';
import { parseIpv4Range } from './kinds/service-address.ts';
import { type PortRange, ServiceAllocator } from './kinds/service-allocator.ts';
import { customMetricsResources } from './metrics/custom-metrics.ts';
import { metricsResources } from './metrics/metrics-resources.ts';
import { ObjectCache } from './objects/object-cache.ts';
import { type AdvertisedAddress, createInitialObjects } from './initial-objects.ts';
import { Listener, type ServerTls } from './listener.ts';
import type { AdmissionCheck } from './operations/admission.ts';
import type { Machine } from './operations/machine.ts';
import { podSecurityCheck } from './pod-security/pod-security-check.ts';
import type { CustomMetricsSource, MetricsSource, NodeDialer } from './ports.ts';
import { quotaCheck } from './quota/quota-admission.ts';
import { QuotaStatus } from './quota/quota-status.ts';
import { type PriorityLevel, PriorityLevels } from './requests/priority-levels.ts';
import type { QueueLimits } from './requests/request-queues.ts';
import { reviewResources } from './reviews/review-resources.ts';
import { Router } from './router.ts';
import { boundPatterns } from './validation/bounded-patterns.ts';

export interface ApiServerOptions {
  /** Not closed by the server. */
  readonly store: ObjectStore;
  /** Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  /** Absent: plain HTTP, for tests. */
  readonly tls?: ServerTls;
  /** Asked in order; the first that knows the user decides. */
  readonly authenticators: readonly Authenticator[];
  /** Default: administrators (system:masters), nodes for what is theirs, and RBAC. */
  readonly authorizer?: Authorizer;
  /** How nodes are reached. Absent: logs, exec and the like are `unavailable`. */
  readonly dialer?: NodeDialer;
  /** Absent: metrics.k8s.io is not served. */
  readonly metrics?: MetricsSource;
  /** Absent: custom.metrics.k8s.io is not served. */
  readonly customMetrics?: CustomMetricsSource;
  /** Where pods reach this server, for the Service `kubernetes`. Absent: the Service has no endpoint. */
  readonly advertise?: AdvertisedAddress;
  /** Subresources that nodes' agents answer, beside those of pods. */
  readonly connects?: readonly ConnectSubresource[];
  /** Addresses of Services. Default 10.96.0.0/16. */
  readonly serviceCidr?: string;
  /** Default 30000 to 32767. */
  readonly nodePortRange?: PortRange;
  /** Seats of their own for some clients. Default: some for nodes. */
  readonly priorityLevels?: readonly PriorityLevel[];
  /** How all other clients share the server. */
  readonly requestLimits?: QueueLimits;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** The Kubernetes API over a store: a generic machine over a table of kinds. */
export class ApiServer implements AsyncDisposable {
  readonly #cleanup: AsyncDisposableStack;
  readonly #listener: Listener;
  readonly #host: string;
  readonly #isTls: boolean;
  /** For parts of this layer that work beside the HTTP interface. */
  readonly machine: Machine;

  private constructor(cleanup: AsyncDisposableStack, listener: Listener, machine: Machine, options: ApiServerOptions) {
    this.#cleanup = cleanup;
    this.#listener = listener;
    this.machine = machine;
    this.#host = options.listen.host;
    this.#isTls = options.tls !== undefined;
  }

  /** Reads the store, creates what every cluster has, and listens. `unavailable` when the port is taken. */
  static async open(options: ApiServerOptions): Promise<ApiServer> {
    boundPatterns();
    await using cleanup = new AsyncDisposableStack();
    const objects = cleanup.use(await ObjectCache.open(options.store));
    const schemas = BuiltinSchemas.load();
    const allocator = new ServiceAllocator(parseIpv4Range(options.serviceCidr ?? '10.96.0.0/16'), options.nodePortRange ?? { from: 30_000, to: 32_767 });
    const kinds = new KindRegistry(builtinKinds(schemas, allocator));
    const admission: AdmissionCheck[] = [];
    const machine: Machine = { objects, kinds, clock: options.clock ?? systemClock, admission };
    const rbac = cleanup.use(new RbacAuthorizer(machine));
    const authorizer = options.authorizer ?? new UnionAuthorizer([new GroupAuthorizer([systemMasters]), new NodeAuthorizer(objects), rbac]);
    admission.push(nodeRestriction, escalationCheck(authorizer, rbac), podSecurityCheck(() => machine, options.log), quotaCheck(() => machine));
    cleanup.use(DefinitionService.open(machine, schemas, options.log));
    await createInitialObjects(machine, allocator.serverAddress, options.advertise);
    cleanup.use(await RoleAggregation.open(machine, options.log));
    cleanup.use(QuotaStatus.open(machine, options.store, options.log));
    const tokens = new ServiceAccountTokens(machine, await SigningKey.load(options.store));
    const authenticators = [...options.authenticators, tokens, new BootstrapTokens(machine)];
    const router = new Router({
      machine,
      authenticators,
      tokens,
      levels: new PriorityLevels(options.priorityLevels, options.requestLimits),
      authorizer,
      virtual: [...emptyResources(() => machine.objects.revision), ...reviewResources(authorizer), tokenReviewResource(authenticators), ...(options.metrics === undefined ? [] : metricsResources(machine, options.metrics)), ...(options.customMetrics === undefined ? [] : customMetricsResources(machine, options.customMetrics))],
      connects: new ConnectHandler(machine, options.dialer, [...podConnects, ...(options.connects ?? [])]),
      protobuf: KubernetesProtobuf.load(),
      openApi: new OpenApiHandler(kinds, schemas),
      log: options.log,
      isReady: () => true,
    });
    const listener = cleanup.use(await Listener.open(options.listen, options.tls, router));
    cleanup.defer(() => router.stop());
    return new ApiServer(cleanup.move(), listener, machine, options);
  }

  get port(): number {
    return this.#listener.port;
  }

  /** `https://127.0.0.1:6443` or the like. */
  get url(): string {
    return `${this.#isTls ? 'https' : 'http'}://${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.port}`;
  }

  /** Ends watches and connections. The store stays open. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}
