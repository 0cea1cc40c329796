import { createHash } from 'node:crypto';
import type { Endpoint, ServicePlan } from './service-plan.ts';

export interface RulesetOptions {
  /** Name of the table, of family ip. */
  table: string;
  /** Addresses of services. What is still sent to one after translation has no endpoint and is refused at once. */
  serviceCidr: string;
  /** The bridge of this node's pods. */
  podBridge: string;
}

/** What a table holds, so that the next script can be what is different. */
export interface Ruleset {
  /** Empty when nothing is different. */
  readonly script: string;
  /** The rules of each chain, in one text. */
  readonly chains: ReadonlyMap<string, string>;
  readonly affinitySets: ReadonlySet<string>;
  /** Elements of the maps and the set, each with what it leads to. */
  readonly elements: Readonly<Record<Collection, ReadonlyMap<string, string>>>;
  /** What each plan came to: one that is still the same object is not worked out again. */
  readonly rendered: ReadonlyMap<ServicePlan, Rendered>;
}

interface Rendered { readonly targets: readonly Target[]; readonly servicePorts: readonly [string, string][]; readonly nodePorts: readonly [string, string][] }

type Collection = 'service-ports' | 'node-ports' | 'hairpin';
const collections: readonly Collection[] = ['service-ports', 'node-ports', 'hairpin'];

/**
 * The plan as one nft transaction. With `previous` it changes what is different in that table, and keeps the memory of which client
 * goes where; without, it replaces whatever has the table's name.
 */
export function renderRuleset(plans: readonly ServicePlan[], options: RulesetOptions, previous: Ruleset | undefined): Ruleset {
  const { table } = options;
  const rendered = new Map(plans.map((plan) => [plan, previous?.rendered.get(plan) ?? { targets: targetsOf(plan), servicePorts: servicePortElements(plan), nodePorts: nodePortElements(plan) }]));
  const each = [...rendered.values()];
  const targets = each.flatMap((one) => one.targets);
  const all = new Map(targets.flatMap((target) => target.chains.map((chain) => [chain.name, chain] as const)));
  const chains = new Map([...all].map(([name, { rules }]) => [name, rules.join('\n')]));
  const affinitySets = new Set([...all.values()].flatMap(({ affinitySet }) => affinitySet ?? []));
  const elements: Ruleset['elements'] = {
    'service-ports': new Map(each.flatMap(({ servicePorts }) => servicePorts)),
    'node-ports': new Map(each.flatMap(({ nodePorts }) => nodePorts)),
    hairpin: new Map(targets.flatMap(({ endpoints }) => endpoints.map(({ address }) => [`${address} . ${address}`, '']))),
  };
  const changed = [...all.values()].filter(({ name }) => previous?.chains.get(name) !== chains.get(name));
  const before = (name: Collection): ReadonlyMap<string, string> => previous?.elements[name] ?? new Map<string, string>();
  const lines: string[] = [
    ...(previous === undefined ? [`add table ip ${table}`, `delete table ip ${table}`, `add table ip ${table}`, ...base(options)] : []),
    ...changed.flatMap((chain) => declare(chain, table)),
    ...changed.flatMap(({ name, rules }) => rules.map((rule) => `add rule ip ${table} ${name} ${rule}`)),
    // One that leads elsewhere goes and comes again: all of it at once.
    ...collections.flatMap((name) => elementLines(`delete element ip ${table} ${name}`, different(before(name), elements[name]).map(([key]) => key))),
    ...collections.flatMap((name) => elementLines(`add element ip ${table} ${name}`, different(elements[name], before(name)).map(([key, verdict]) => `${key}${verdict}`))),
    ...gone(previous?.chains.keys(), chains).flatMap((name) => [`flush chain ip ${table} ${name}`]),
    ...gone(previous?.chains.keys(), chains).map((name) => `delete chain ip ${table} ${name}`),
    ...gone(previous?.affinitySets, affinitySets).map((name) => `delete set ip ${table} ${name}`),
  ];
  return { script: lines.length === 0 ? '' : `${lines.join('\n')}\n`, chains, affinitySets, elements, rendered };
}

function gone(before: Iterable<string> | undefined, now: { has(name: string): boolean }): string[] {
  return [...(before ?? [])].filter((name) => !now.has(name));
}

/** The entries that the other does not have, or not with this value. */
function different(these: ReadonlyMap<string, string>, others: ReadonlyMap<string, string>): [string, string][] {
  return [...these].filter(([key, value]) => others.get(key) !== value);
}

/** What does not depend on any service. */
function base({ table, serviceCidr, podBridge }: RulesetOptions): string[] {
  const add = (kind: string, rest: string): string => `add ${kind} ip ${table} ${rest}`;
  return [
    add('map', 'service-ports { type ipv4_addr . inet_proto . inet_service : verdict ; }'),
    add('map', 'node-ports { type inet_proto . inet_service : verdict ; }'),
    add('set', 'hairpin { type ipv4_addr . ipv4_addr ; }'),
    add('chain', 'services'),
    add('rule', 'services ip daddr . meta l4proto . th dport vmap @service-ports'),
    add('rule', 'services fib daddr type local meta l4proto . th dport vmap @node-ports'),
    add('chain', 'before-routing { type nat hook prerouting priority dstnat ; }'),
    add('rule', 'before-routing jump services'),
    add('chain', 'from-host { type nat hook output priority -100 ; }'),
    add('rule', 'from-host jump services'),
    add('chain', 'after-routing { type nat hook postrouting priority srcnat ; }'),
    // A pod that reaches itself through its service, and clients on the host's loopback, need an address the answer can come back to.
    add('rule', 'after-routing ct status dnat ip saddr . ip daddr @hairpin masquerade'),
    add('rule', 'after-routing ct status dnat ip saddr 127.0.0.0/8 oifname != "lo" masquerade'),
    // Loopback addresses are routable while node ports work on loopback: nobody else may send to them (CVE-2020-8558).
    add('chain', 'guard-loopback { type filter hook prerouting priority raw ; }'),
    add('rule', 'guard-loopback iifname != "lo" ip daddr 127.0.0.0/8 drop'),
    // A pod that was told to reach its neighbour directly would send past the translation.
    add('chain', 'keep-routed { type filter hook output priority filter ; }'),
    add('rule', `keep-routed oifname "${podBridge}" icmp type redirect drop`),
    ...['forward', 'output'].flatMap((hook) => [
      add('chain', `refuse-${hook} { type filter hook ${hook} priority filter ; }`),
      add('rule', `refuse-${hook} ip daddr ${serviceCidr} meta l4proto tcp reject with tcp reset`),
      add('rule', `refuse-${hook} ip daddr ${serviceCidr} reject with icmp type port-unreachable`),
    ]),
  ];
}

interface Chain { name: string; rules: string[]; affinitySet?: string; affinitySeconds?: number }

/** The chains of one way into a service port: one that chooses, and with session affinity one for each endpoint. */
interface Target { endpoints: readonly Endpoint[]; chains: Chain[] }

function targetsOf(plan: ServicePlan): Target[] {
  const inside = { endpoints: plan.endpoints, chains: chainsOf(plan, plan.endpoints, 'svc') };
  if ((plan.nodePort === 0 && plan.balancerPort === 0) || isSame(plan)) return [inside];
  return [inside, { endpoints: plan.nodePortEndpoints, chains: chainsOf(plan, plan.nodePortEndpoints, 'ext') }];
}

function isSame({ endpoints, nodePortEndpoints }: ServicePlan): boolean {
  return JSON.stringify(endpoints) === JSON.stringify(nodePortEndpoints);
}

function chainsOf(plan: ServicePlan, endpoints: readonly Endpoint[], prefix: 'svc' | 'ext'): Chain[] {
  if (endpoints.length === 0) return [];
  const name = chainName(plan, prefix);
  if (plan.affinitySeconds === 0) return [{ name, rules: [chooseAddress(plan.protocol, endpoints)] }];
  const sticky = endpoints.map((endpoint): Chain & { affinitySet: string } => {
    // Another time is another set: one that exists keeps the time it was made with.
    const id = hash(`${plan.key} ${endpoint.address}:${endpoint.port} ${plan.affinitySeconds}`);
    const affinitySet = `aff-${id}`;
    const rules = [`update @${affinitySet} { ip saddr }`, `meta l4proto ${plan.protocol} dnat to ${endpoint.address}:${endpoint.port}`];
    return { name: `end-${prefix}-${id}`, rules, affinitySet, affinitySeconds: plan.affinitySeconds };
  });
  const known = sticky.map((chain) => `ip saddr @${chain.affinitySet} goto ${chain.name}`);
  const choose = `numgen random mod ${sticky.length} vmap { ${sticky.map((chain, index) => `${index} : goto ${chain.name}`).join(', ')} }`;
  return [...sticky, { name, rules: [...known, choose] }];
}

function chooseAddress(protocol: string, endpoints: readonly Endpoint[]): string {
  const [only] = endpoints;
  if (endpoints.length === 1 && only !== undefined) return `meta l4proto ${protocol} dnat to ${only.address}:${only.port}`;
  const choices = endpoints.map(({ address, port }, index) => `${index} : ${address} . ${port}`).join(', ');
  return `meta l4proto ${protocol} dnat ip to numgen random mod ${endpoints.length} map { ${choices} }`;
}

function declare({ name, affinitySet, affinitySeconds }: Chain, table: string): string[] {
  const set = affinitySet === undefined ? [] : [`add set ip ${table} ${affinitySet} { type ipv4_addr ; size 65536 ; flags dynamic, timeout ; timeout ${affinitySeconds ?? 0}s ; }`];
  return [...set, `add chain ip ${table} ${name}`, `flush chain ip ${table} ${name}`];
}

function servicePortElements(plan: ServicePlan): [string, string][] {
  if (plan.endpoints.length === 0) return [];
  return plan.addresses.map((address) => [`${address} . ${plan.protocol} . ${plan.port}`, ` : goto ${chainName(plan, 'svc')}`]);
}

function nodePortElements(plan: ServicePlan): [string, string][] {
  if (plan.nodePortEndpoints.length === 0) return [];
  const ports = [...new Set([plan.nodePort, plan.balancerPort])].filter((port) => port !== 0);
  return ports.map((port) => [`${plan.protocol} . ${port}`, ` : goto ${chainName(plan, isSame(plan) ? 'svc' : 'ext')}`]);
}

function elementLines(command: string, values: readonly string[]): string[] {
  return values.length === 0 ? [] : [`${command} { ${values.join(', ')} }`];
}

function chainName(plan: ServicePlan, prefix: string): string {
  return `${prefix}-${hash(plan.key)}`;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
