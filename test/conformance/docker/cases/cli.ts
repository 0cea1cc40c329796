import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { subnetPrefix } from '../normalize.ts';
import type { Case, CliAnswer } from './case.ts';

/** Commands one after the other, each with its exit code and outputs. */
function commands(name: string, ...list: readonly (readonly string[])[]): Case {
  return {
    name: `cli/${name}`,
    run: async ({ cli }) => {
      const answers: [string, CliAnswer][] = [];
      for (const args of list) answers.push([`${answers.length + 1} ${args.join(' ')}`, await cli(args)]);
      return Object.fromEntries(answers);
    },
  };
}

export const cliCases: readonly Case[] = [
  commands('run', ['run', '--rm', 'busybox', 'echo', 'hello'], ['run', '--rm', 'busybox', 'sh', '-c', 'echo out; echo err >&2; exit 7'], ['run', '--rm', 'busybox', 'nosuch'], ['run', '--rm', '--entrypoint', '/etc/passwd', 'busybox'], ['run', '--rm', '-w', '/data', '-u', '1000:50', '-e', 'A=b', 'busybox', 'sh', '-c', 'pwd; id -u; id -g; echo $A']),
  { name: 'cli/run with input', run: async ({ cli }) => ({ stdin: await cli(['run', '--rm', '-i', 'busybox', 'sh', '-c', 'cat; echo end'], 'typed\n'), none: await cli(['run', '--rm', 'busybox', 'cat'], 'ignored') }) },
  commands('detached', ['run', '-d', '--name', 'subject', '-p', '127.0.0.1::80', '-v', 'named:/v', '--label', 'a=b', 'busybox', 'sleep', '1000'], ['ps', '--format', '{{.Names}} {{.Image}} {{.Command}} {{.Labels}} {{.Mounts}} {{.Networks}} {{.State}}'], ['exec', 'subject', 'sh', '-c', 'echo in; exit 3'], ['exec', '-d', 'subject', 'true'], ['exec', 'subject', 'nosuch'], ['top', 'subject', '-o', 'comm'], ['rename', 'subject', 'other'], ['stop', '-t', '0', 'other'], ['ps', '-a', '--format', '{{.Names}} {{.State}}'], ['start', 'other'], ['restart', '-t', '0', 'other'], ['pause', 'other'], ['unpause', 'other'], ['kill', 'other'], ['wait', 'other'], ['rm', 'other'], ['rm', 'other']),
  commands('logs', ['run', '--name', 'subject', 'busybox', 'sh', '-c', 'echo one; echo two; echo three'], ['logs', 'subject'], ['logs', '--tail', '1', 'subject'], ['logs', '--since', '1h', 'subject'], ['logs', '--until', '1h', 'subject'], ['logs', '-f', 'subject'], ['logs', 'nosuch']),
  commands('volumes', ['volume', 'create', '--label', 'k=v', 'one'], ['volume', 'ls', '-q'], ['volume', 'inspect', '-f', '{{.Name}} {{.Driver}} {{.Labels}} {{.Options}} {{.Scope}}', 'one'], ['run', '--rm', '-v', 'one:/data', 'busybox', 'cat', '/data/seed'], ['volume', 'rm', 'one', 'none'], ['volume', 'prune', '-f']),
  commands('networks', ['network', 'create', '--subnet', `${subnetPrefix}.9.0/24`, 'back'], ['network', 'ls', '--format', '{{.Name}} {{.Driver}} {{.Scope}}', '--filter', 'name=back'], ['run', '-d', '--name', 'subject', '--network', 'back', '--ip', `${subnetPrefix}.9.7`, '--network-alias', 'db', 'busybox', 'sleep', '1000'], ['network', 'inspect', '-f', '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}', 'back'], ['network', 'rm', 'back'], ['network', 'disconnect', 'back', 'subject'], ['network', 'connect', '--alias', 'again', 'back', 'subject'], ['rm', '-f', 'subject'], ['network', 'rm', 'back'], ['network', 'rm', 'back']),
  commands('links', ['run', '-d', '--name', 'server', 'busybox', 'sleep', '1000'], ['run', '--rm', '--link', 'server:db', 'busybox', 'sh', '-c', 'ping -c 1 db > /dev/null && echo $DB_NAME | cut -d/ -f3'], ['network', 'create', '--subnet', `${subnetPrefix}.8.0/24`, 'back'], ['network', 'connect', 'back', 'server'], ['run', '--rm', '--network', 'back', '--link', 'server:db', 'busybox', 'sh', '-c', 'ping -c 1 -W 5 db > /dev/null && echo answers'], ['rm', '-f', 'server']),
  commands('images', ['images', '--format', '{{.Repository}}:{{.Tag}}'], ['tag', 'busybox', 'local/app:1'], ['images', '-q', 'local/app'], ['images', '--filter', 'reference=local/*', '--format', '{{.Repository}}:{{.Tag}}'], ['history', '--format', '{{.CreatedBy}} {{.Comment}}', 'local/app:1'], ['rmi', 'local/app:1'], ['rmi', 'local/app:1'], ['image', 'inspect', '-f', '{{.Os}} {{.Config.Cmd}} {{.Config.Env}}', 'busybox'], ['image', 'inspect', 'nosuch'], ['image', 'prune', '-f']),
  {
    name: 'cli/cp, diff and export',
    run: async ({ cli, daemon }) => {
      const folder = join(daemon.folder, 'copied');
      mkdirSync(join(folder, 'tree/sub'), { recursive: true });
      writeFileSync(join(folder, 'tree/sub/file'), 'from the host');
      const steps: Record<string, CliAnswer> = {};
      const step = async (...args: string[]): Promise<void> => void (steps[`${Object.keys(steps).length + 1} ${args.join(' ').replaceAll(daemon.folder, '<files>')}`] = await cli(args));
      await step('run', '-d', '--name', 'subject', 'busybox', 'sleep', '1000');
      await step('cp', `${folder}/tree`, 'subject:/tmp');
      await step('cp', `${folder}/tree/sub/file`, 'subject:/etc/renamed');
      await step('exec', 'subject', 'cat', '/tmp/tree/sub/file', '/etc/renamed');
      await step('cp', 'subject:/etc/passwd', `${folder}/passwd`);
      await step('cp', 'subject:/nosuch', folder);
      await step('cp', `${folder}/tree`, 'subject:/nosuch/deeper');
      await step('diff', 'subject');
      return { steps: { ...steps, '8 diff subject': steps['8 diff subject']?.stdout.split('\n').toSorted((a, b) => (a < b ? -1 : 1)) }, passwd: readFileSync(join(folder, 'passwd'), 'utf8') };
    },
  },
  {
    name: 'cli/save, load, export and import',
    run: async ({ cli, daemon }) => {
      const folder = join(daemon.folder, 'copied');
      mkdirSync(folder, { recursive: true });
      const steps: Record<string, unknown> = {};
      const step = async (...args: string[]): Promise<void> => void (steps[`${Object.keys(steps).length + 1} ${args.join(' ').replaceAll(daemon.folder, '<files>')}`] = await cli(args));
      const namesIn = (archive: string): string[] => execFileSync('tar', ['-tf', join(folder, archive)], { encoding: 'utf8' }).split('\n').map((name) => name.replace(/^\.\/|\/$/g, '')).filter((name) => name !== '').toSorted((a, b) => (a < b ? -1 : 1));
      await step('tag', 'busybox', 'saved:1');
      await step('tag', 'busybox', 'saved:2');
      await step('save', '-o', join(folder, 'two.tar'), 'saved:1', 'saved:2');
      const tags = (JSON.parse(execFileSync('tar', ['-xOf', join(folder, 'two.tar'), 'manifest.json'], { encoding: 'utf8' })) as { RepoTags: string[] }[]).map(({ RepoTags }) => RepoTags.toSorted((a, b) => (a < b ? -1 : 1)));
      await step('rmi', 'saved:1', 'saved:2');
      await step('load', '-i', join(folder, 'two.tar'));
      await step('load', '-q', '-i', join(folder, 'two.tar'));
      await step('run', '--rm', 'saved:2', 'echo', 'loaded');
      await step('save', '-o', join(folder, 'none.tar'), 'nosuch:1');
      writeFileSync(join(folder, 'bad.tar'), 'no archive at all');
      await step('load', '-i', join(folder, 'bad.tar'));
      await step('run', '--name', 'subject', '-v', '/kept', 'busybox', 'sh', '-c', 'mkdir /new; echo x > /new/file; ln -s file /new/link; rm /etc/group');
      await step('export', '-o', join(folder, 'tree.tar'), 'subject');
      const exported = namesIn('tree.tar').filter((name) => /^(new|etc\/(group|passwd|hosts|hostname)|\.dockerenv|kept)/.test(name));
      await step('import', '-c', 'CMD ["cat", "/new/link"]', join(folder, 'tree.tar'), 'imported:1');
      await step('run', '--rm', 'imported:1');
      await step('export', '-o', join(folder, 'none.tar'), 'nosuch');
      return { steps, tags, exported };
    },
  },
  commands('prune by label', ['volume', 'create', '--label', 'kind=a', 'va'], ['volume', 'create', '--label', 'kind=b', 'vb'], ['network', 'create', '--label', 'kind=a', '--subnet', `${subnetPrefix}.10.0/24`, 'na'], ['network', 'create', '--label', 'kind=b', '--subnet', `${subnetPrefix}.11.0/24`, 'nb'], ['create', '--name', 'ca', '--label', 'kind=a', 'busybox'], ['create', '--name', 'cb', '--label', 'kind=b', 'busybox'], ['container', 'prune', '-f', '--filter', 'label=kind=a'], ['ps', '-a', '--format', '{{.Names}}'], ['volume', 'prune', '-f', '--filter', 'label=kind=a'], ['volume', 'ls', '-q'], ['network', 'prune', '-f', '--filter', 'label!=kind=b'], ['network', 'ls', '--filter', 'type=custom', '--format', '{{.Name}}'], ['system', 'prune', '-f', '--filter', 'label=kind=b'], ['ps', '-aq'], ['container', 'prune', '-f', '--filter', 'nosuch=x'], ['volume', 'prune', '-f', '--filter', 'until=1h']),
  commands('errors', ['run', '--rm', '127.0.0.1:1/x:1', 'true'], ['start', 'nosuch'], ['inspect', 'nosuch'], ['ps', '--filter', 'status=nosuch'], ['run', '--name', 'a/b', 'busybox'], ['run', '--memory', '1m', 'busybox'], ['create', '--name', 'lost', '--network', 'nosuch', 'busybox'], ['start', 'lost'], ['run', '--rm', '-v', 'relative/path:/x', 'busybox'], ['run', '--rm', '--cpus', '1000', 'busybox'], ['attach', 'nosuch'], ['stats', '--no-stream', 'nosuch']),
  commands('stats and events', ['run', '-d', '--name', 'subject', 'busybox', 'sleep', '1000'], ['stats', '--no-stream', '--format', '{{.Name}} {{.PIDs}}', 'subject'], ['rm', '-f', 'subject']),
];
