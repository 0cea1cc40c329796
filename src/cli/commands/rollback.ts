import { type Release, resources, type Stored } from '../../api/mod.ts';
import type { KubeClient } from '../../client/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import { planRollback } from '../../server/mod.ts';
import { print } from '../output.ts';
import { type InstanceOptions, interruptSignal, openSession } from '../session.ts';

export interface RollbackOptions extends InstanceOptions { namespace: string; to?: string; wait: boolean }

/** Takes an application back and waits until the old version is live. A rollback that fails is an error of the command. */
export async function rollback(repository: string | undefined, options: RollbackOptions): Promise<void> {
  const to = parseNumber(options.to);
  await using session = await openSession(options);
  const signal = interruptSignal();
  const { items } = await session.client.list(resources.releases, { namespace: options.namespace }, signal);
  const name = repository ?? onlyRepository(items);
  const created = await session.client.create(resources.releases, await planRollback(items.filter(({ spec }) => spec?.repository === name), to), signal);
  print(`${created.metadata.name} takes ${name} back to commit ${created.spec?.commit.slice(0, 10) ?? ''}`);
  if (options.wait) await waitUntilLive(session.client, created, signal);
}

function parseNumber(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d*$/.test(text)) throw new GantryError('invalid', `--to ${text}: expected the number of a release; see 'gantry release list'`);
  return Number(text);
}

function onlyRepository(releases: readonly Stored<Release>[]): string {
  const names = [...new Set(releases.map(({ spec }) => spec?.repository ?? ''))];
  const [name] = names;
  if (name === undefined) throw new GantryError('not-found', 'there are no releases');
  if (names.length > 1) throw new GantryError('invalid', `name the repository: ${names.join(', ')}`);
  return name;
}

async function waitUntilLive(client: KubeClient, release: Stored<Release>, signal: AbortSignal): Promise<void> {
  const options = { namespace: release.metadata.namespace ?? 'default', fieldSelector: `metadata.name=${release.metadata.name}`, resourceVersion: release.metadata.resourceVersion };
  let said = '';
  for await (const event of client.watch(resources.releases, options, signal)) {
    if (event.type === 'BOOKMARK') continue;
    const { phase, message = '' } = event.object.status ?? {};
    if (message !== said && message !== '') print(message);
    said = message;
    if (event.type === 'DELETED' || phase === 'Failed' || phase === 'Superseded' || phase === 'RolledBack') throw new GantryError('precondition-failed', `the rollback did not succeed: ${phase ?? 'deleted'}`);
    if (phase === 'Live') return;
  }
}
