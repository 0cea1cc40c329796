import type { ServerResponse } from 'node:http';
import type { ObjectCache } from '../objects/object-cache.ts';
import type { RequestInfo } from '../requests/request-info.ts';
import type { PriorityLevels } from '../requests/priority-levels.ts';

/** Upper bounds of the duration histogram, in seconds. */
const bucketsSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10];

interface Series { count: number; sumSeconds: number; readonly buckets: number[] }

/** Counts requests for `/metrics`, under Kubernetes' own metric names. Watches count when they begin. */
export class RequestMetrics {
  readonly #totals = new Map<string, number>();
  readonly #durations = new Map<string, Series>();
  #underWay = 0;
  #watches = 0;

  /** Follows one request to the end of its answer. */
  follow(info: RequestInfo, response: ServerResponse): void {
    const startedMs = performance.now();
    const isWatch = info.verb === 'watch';
    if (isWatch) this.#watches += 1;
    else this.#underWay += 1;
    response.once('close', () => {
      if (isWatch) this.#watches -= 1;
      else this.#underWay -= 1;
      this.#count(info, response.statusCode, isWatch ? undefined : (performance.now() - startedMs) / 1000);
    });
  }

  /** The Prometheus text format, version 0.0.4. */
  text(objects: ObjectCache, levels: PriorityLevels['counts']): string {
    const byLevel = (value: (counts: PriorityLevels['counts'][number][1]) => number): [string, number][] => levels.map(([name, counts]) => [`priority_level="${name}"`, value(counts)]);
    const memory = process.memoryUsage();
    const cpu = process.cpuUsage();
    return [
      ...metric('apiserver_request_total', 'counter', 'Requests by verb, resource and code.', [...this.#totals]),
      ...metric('apiserver_current_inflight_requests', 'gauge', 'Requests under way, without watches.', [['', this.#underWay]]),
      ...metric('apiserver_longrunning_requests', 'gauge', 'Open watches.', [['verb="watch"', this.#watches]]),
      ...metric('apiserver_flowcontrol_current_executing_seats', 'gauge', 'Seats taken by requests under way.', byLevel(({ executing }) => executing)),
      ...metric('apiserver_flowcontrol_current_inqueue_requests', 'gauge', 'Requests that wait for their turn.', byLevel(({ waiting }) => waiting)),
      ...metric('apiserver_flowcontrol_rejected_requests_total', 'counter', 'Requests refused since their client has too many.', byLevel(({ refused }) => refused)),
      ...this.#durationLines(),
      ...metric('apiserver_storage_objects', 'gauge', 'Stored objects by resource.', objects.counts().map(([prefix, count]) => [`resource="${resourceOf(prefix)}"`, count])),
      ...metric('gantry_store_revision', 'gauge', 'Revision of the object store.', [['', objects.revision]]),
      ...metric('process_resident_memory_bytes', 'gauge', 'Resident memory of the process.', [['', memory.rss]]),
      ...metric('process_cpu_seconds_total', 'counter', 'CPU time of the process.', [['', (cpu.user + cpu.system) / 1e6]]),
      '',
    ].join('\n');
  }

  #count({ verb, group, version, plural, subresource }: RequestInfo, code: number, seconds: number | undefined): void {
    const labels = `verb="${verb.toUpperCase()}",group="${group}",version="${version}",resource="${plural}",subresource="${subresource}"`;
    const total = `${labels},code="${code}"`;
    this.#totals.set(total, (this.#totals.get(total) ?? 0) + 1);
    if (seconds === undefined) return;
    let series = this.#durations.get(labels);
    if (series === undefined) this.#durations.set(labels, (series = { count: 0, sumSeconds: 0, buckets: bucketsSeconds.map(() => 0) }));
    series.count += 1;
    series.sumSeconds += seconds;
    for (const [index, bound] of bucketsSeconds.entries()) if (seconds <= bound) series.buckets[index] = (series.buckets[index] ?? 0) + 1;
  }

  #durationLines(): string[] {
    const name = 'apiserver_request_duration_seconds';
    const lines = [`# HELP ${name} Time to the end of the answer.`, `# TYPE ${name} histogram`];
    for (const [labels, { count, sumSeconds, buckets }] of this.#durations) {
      for (const [index, bound] of bucketsSeconds.entries()) lines.push(`${name}_bucket{${labels},le="${bound}"} ${buckets[index] ?? 0}`);
      lines.push(`${name}_bucket{${labels},le="+Inf"} ${count}`, `${name}_sum{${labels}} ${sumSeconds}`, `${name}_count{${labels}} ${count}`);
    }
    return lines;
  }
}

function metric(name: string, type: string, help: string, values: readonly (readonly [labels: string, value: number])[]): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...values.map(([labels, value]) => (labels === '' ? `${name} ${value}` : `${name}{${labels}} ${value}`))];
}

/** `/apps/deployments/` → `deployments.apps`. */
function resourceOf(prefix: string): string {
  const [, group = '', plural = ''] = prefix.split('/');
  return group === 'core' ? plural : `${plural}.${group}`;
}
