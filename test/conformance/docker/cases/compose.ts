import type { Case, CliAnswer } from './case.ts';

/** `docker-compose.yml` of each project, by the name of its folder. */
export const composeFiles: Readonly<Record<string, string>> = {
  project: `version: "3.8"
services:
  db:
    image: busybox
    command: ["sh", "-c", "echo data > /srv; exec httpd -f -p 80 -h /"]
    volumes: ["dbdata:/var/data"]
    stop_grace_period: 0s
  web:
    image: busybox
    command: ["sh", "-c", "until wget -qO- http://db/srv; do sleep 0.1; done; exec sleep 1000"]
    depends_on: [db]
    stop_grace_period: 0s
    environment: {A: b}
    ports: ["80"]
volumes: {dbdata: {}}
`,
  // Everything that makes services wait for each other and meet.
  shop: `services:
  db:
    image: busybox
    command: ["sh", "-c", "mkdir -p /data && echo stored > /data/item; echo db is up; exec httpd -f -p 80 -h /data"]
    healthcheck: {test: ["CMD", "wget", "-qO-", "http://127.0.0.1/item"], interval: 200ms, timeout: 30s, retries: 50}
    networks: {back: {aliases: [storage]}}
    volumes: ["items:/data"]
    stop_grace_period: 0s
  web:
    image: busybox
    command: ["sh", "-c", "wget -qO- http://storage/item; exec sleep 1000"]
    depends_on: {db: {condition: service_healthy}}
    links: ["db:linked"]
    networks: [back, front]
    tmpfs: [/scratch]
    read_only: true
    user: "1000"
    cap_drop: [ALL]
    extra_hosts: ["elsewhere:192.0.2.9"]
    environment: {A: b}
    labels: {tier: front}
    stop_grace_period: 0s
  once:
    image: busybox
    command: ["sh", "-c", "exit 3"]
    networks: [front]
networks:
  back: {internal: true}
  front: {}
volumes: {items: {labels: {kept: "no"}}}
`,
};

export const composeCases: readonly Case[] = [
  {
    name: 'compose/up, exec, restart, down',
    run: async ({ compose, cli }) => ({
      up: (await compose('project', 'up', '-d')).code, composePs: (await compose('project', 'ps')).stdout.split('\n').map((line) => line.replace(/\s+(\S+->\S+)?$/, '')).filter((line) => !line.startsWith('---')).map((line) => line.replace(/ +/g, ' ')).toSorted((a, b) => (a < b ? -1 : 1)), composeServices: sorted(await compose('project', 'ps', '--services', '--filter', 'status=running')), composeTop: (await compose('project', 'top')).code, ps: (await cli(['ps', '--format', '{{.Names}} {{.Networks}} {{.Mounts}}'])).stdout.split('\n').toSorted((a, b) => (a < b ? -1 : 1)), exec: await compose('project', 'exec', '-T', 'web', 'sh', '-c', 'wget -qO- http://db/srv; echo $A'),
      restart: (await compose('project', 'restart', '-t', '0', 'web')).code, down: (await compose('project', 'down', '-v', '-t', '0')).code,
      left: [await cli(['ps', '-aq']), await cli(['volume', 'ls', '-q'])],
    }),
  },
  {
    name: 'compose/what services wait for, share and link to',
    run: async ({ compose, docker }) => {
      const shop = (...args: string[]): Promise<CliAnswer> => compose('shop', ...args);
      const up = (await shop('up', '-d', 'web')).code;
      const [web] = await docker.listContainers({ filters: { label: ['com.docker.compose.service=web'] } });
      const inspected = web === undefined ? undefined : await docker.getContainer(web.Id).inspect();
      const networks = Object.entries(inspected?.NetworkSettings.Networks ?? {}).map(([name, { Aliases, Links }]) => [name, (Aliases as string[] | null)?.toSorted(), (Links as string[] | null)?.toSorted()]).toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1));
      return {
        up, networks, logs: sorted(await shop('logs', '--no-color')),
        exec: await shop('exec', '-T', 'web', 'sh', '-c', 'wget -qO- http://linked/item; id -u; grep elsewhere /etc/hosts; touch /scratch/x && ! touch /x 2>/dev/null && echo only scratch; exit 5'),
        runOther: (await shop('run', '--rm', '-T', 'web', 'wget', '-qO-', 'http://linked/item')).stdout, runSame: (await shop('run', '--rm', '-T', 'db', 'wget', '-qO-', 'http://db/item')).stdout,
        again: (await shop('up', '-d', '--no-recreate', '--scale', 'web=2')).code, two: (await docker.listContainers({ filters: { label: ['com.docker.compose.service=web'] } })).length,
        stop: (await shop('stop', '-t', '0', 'web')).code, start: (await shop('start', 'web')).code,
        down: (await shop('down', '-v', '-t', '0', '--remove-orphans')).code, left: [(await docker.listContainers({ all: true })).length, (await docker.listVolumes()).Volumes.length, (await docker.listNetworks()).length],
      };
    },
  },
];

/** Lines of services that write at the same time. */
function sorted({ code, stdout }: CliAnswer): { code: number; lines: string[] } {
  return { code, lines: stdout.split('\n').toSorted((a, b) => (a < b ? -1 : 1)) };
}
