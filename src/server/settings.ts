import { z } from 'zod';
import { isError, isLoopbackHost, parseWith } from '../kernel/mod.ts';
import { parseCidr } from './cidr.ts';

const port = z.int().min(1).max(65_535);
const cidr = z.string().superRefine((text, context) => {
  try {
    const { prefix } = parseCidr(text);
    if (prefix < 12 || prefix > 22) context.addIssue({ code: 'custom', message: 'the prefix must be between /12 and /22' });
  } catch (error) {
    if (!isError(error, 'invalid')) throw error;
    context.addIssue({ code: 'custom', message: error.message });
  }
});
const host = z.string().regex(/^[A-Za-z0-9.-]+(:\d{1,5})?$/, 'must be a host or host:port');
const httpUrl = z.string().regex(/^https?:\/\/[^\s/]+/, 'must be an http:// or https:// URL');

/**
 * What a user may set, in `DIR/config.yaml` or by the flag of the same name. Unknown keys are errors.
 * What is absent is chosen once (ports, networks) or has the default named here.
 */
export const settingsSchema = z.strictObject({
  /** Port of the Kubernetes API on 127.0.0.1 (TLS). Default 6443, or a free one. */
  apiPort: port.optional(),
  /** Port of git, run logs and health on 127.0.0.1 (HTTP). Default 7080, or a free one. */
  httpPort: port.optional(),
  /** Port of the OCI registry on 127.0.0.1 (HTTP). Default 5000, or a free one. */
  registryPort: port.optional(),
  /** Where the registry is reached from other machines, by TLS: `address` HOST:PORT, and the files with certificate and key. Default: nowhere. */
  registryListen: z.strictObject({ address: z.string().regex(/^([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}$/, 'must be HOST:PORT'), cert: z.string().min(1), key: z.string().min(1) }).optional(),
  /** Keep the registry's blobs in a bucket of an S3-compatible service; names and tags stay on disk. Default: all on disk. */
  registryBucket: z
    .strictObject({
      endpoint: httpUrl,
      region: z.string().min(1),
      bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'must be the name of a bucket'),
      /** Before every key, with a slash at the end. */
      prefix: z.string().regex(/^(?:[\w.-]+\/)*$/, 'must be letters, digits, -, _, . and end with a slash').optional(),
      /** An AWS credentials file; its profile `default` is used. */
      credentialsFile: z.string().min(1),
    })
    .optional(),
  /** How much the registry's blobs may use, for example 50Gi: from nine tenths on the log warns, then pushes are refused. Default: no limit. */
  registryBudget: z.string().regex(/^[1-9]\d*(Ki|Mi|Gi|Ti|k|M|G|T)?$/, 'must be a size such as 50Gi').optional(),
  /** Port of the node agent on 127.0.0.1 (TLS, client certificates). Default 10250, or a free one. */
  agentPort: port.optional(),
  /** Further addresses of the Docker API beside its socket. It is root's door: loopback only, unless clients show certificates (`dockerTls`). */
  dockerListen: z.array(z.string().regex(/^tcp:\/\/([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}$/, 'must be tcp://HOST:PORT')).optional(),
  /** Mutual TLS for `dockerListen`, as dockerd's tlsverify: files with the authority of the clients, the server's certificate and its key. */
  dockerTls: z.strictObject({ caCert: z.string().min(1), cert: z.string().min(1), key: z.string().min(1) }).optional(),
  /**
   * User namespaces for all containers that do not say `host`, as dockerd's userns-remap: `default`, or the name of a user with ranges of
   * subordinate ids (/etc/subuid, /etc/subgid). Pods are not affected. Default: only containers that ask for one.
   */
  usernsRemap: z.string().min(1).optional(),
  /** Group that may use the Docker socket (mode 0660), which is to be root. Default: `gantry` where there is such a group, else root alone. */
  dockerGroup: z.string().min(1).optional(),
  /** Network of ClusterIPs. Default 10.96.0.0/16, or a free one. Fixed once chosen. */
  serviceCidr: cidr.optional(),
  /** Network of pods. Default 10.244.0.0/16, or a free one. Fixed once chosen. */
  podCidr: cidr.optional(),
  /** Networks of containers that are not pods: Docker's `bridge` and those that clients make. Default 10.160.0.0/16, or a free one. Fixed once chosen. */
  containerCidr: cidr.optional(),
  /** Where ports of containers are published when no address is named. Default 127.0.0.1; 0.0.0.0 is every address of the machine, as under Docker. */
  publishAddress: z.union([z.ipv4(), z.ipv6()], { error: 'must be an IP address' }).optional(),
  /** Ports of NodePort services. Default 30000-32767. */
  nodePortRange: z.string().regex(/^\d{1,5}-\d{1,5}$/, 'must be FIRST-LAST').optional(),
  /** Levels of API clients in order: those that a level names share its seats and nobody else's. Default: 32 seats for nodes; `workload` is everybody else, 64. */
  apiPriorityLevels: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, 'must be a name of small letters, digits and dashes'),
        users: z.array(z.string().min(1)).optional(),
        groups: z.array(z.string().min(1)).optional(),
        /** Requests that are worked on at once; a large list counts as several. */
        seats: z.int().min(1).max(10_000).optional(),
        /** Requests that one client may have waiting. */
        queueLength: z.int().min(0).max(100_000).optional(),
        waitMs: z.int().min(1).max(600_000).optional(),
      }),
    )
    .refine((levels) => new Set(levels.map(({ name }) => name)).size === levels.length, 'must not name a level twice')
    .optional(),
  /** Kubernetes' static token file: CSV lines `token,user,uid,"group1,group2"`. */
  tokenFile: z.string().min(1).optional(),
  /** A folder of bare repositories to serve instead of `DIR/git`. */
  gitRoot: z.string().min(1).optional(),
  /** Registry host → base URLs that are asked first, in order. */
  registryMirrors: z.record(host, z.array(httpUrl).min(1)).optional(),
  /** Hosts or networks of registries whose certificate is not checked and that may speak plain HTTP. Loopback always may. */
  insecureRegistries: z.array(z.union([host, z.union([z.cidrv4(), z.cidrv6()])], 'must be a host, host:port or a network such as 10.0.0.0/8')).optional(),
  /** A docker `config.json` (auths, credHelpers, credsStore) with credentials for the pulls of pods and builds that bring none. */
  registryAuthFile: z.string().min(1).optional(),
  /** A folder with a folder HOST[:PORT] for each registry: `*.crt` authorities, `*.cert` and `*.key` the client's pair. Default /etc/docker/certs.d. */
  registryCertificates: z.string().min(1).optional(),
  /**
   * A PEM bundle that builds and jobs trust besides their own, for networks that inspect TLS. Default: the machine's own
   * (/etc/ssl/certs/ca-certificates.crt) when it has one. `none`: nothing is added.
   */
  certificateBundle: z.string().min(1).optional(),
  /** Proxies that builds and jobs use; never written into an image. */
  httpProxy: httpUrl.optional(),
  httpsProxy: httpUrl.optional(),
  noProxy: z.string().optional(),
  /** `runs-on` label → image of the job container. Default: every label runs in node:24-slim. */
  runnerImages: z.record(z.string().min(1), z.string().min(1)).optional(),
  /** How much is written to DIR/log. Default info. */
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).optional(),
}).superRefine(({ dockerListen, dockerTls }, context) => {
  if (dockerTls !== undefined) return;
  for (const [index, address] of (dockerListen ?? []).entries()) {
    if (isLoopbackHost(new URL(address).hostname)) continue;
    context.addIssue({ code: 'custom', path: ['dockerListen', index], message: 'must be tcp://127.0.0.1:PORT, or have dockerTls: whoever reaches the Docker API is root' });
  }
});

export type Settings = z.output<typeof settingsSchema>;

/** Checks settings that did not come from a file. `invalid` names the setting. */
export function parseSettings(input: Readonly<Record<string, unknown>>): Settings {
  return parseWith(settingsSchema, input, 'settings');
}
