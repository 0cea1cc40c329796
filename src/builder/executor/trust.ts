import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildEnvironment } from '../config.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { BuildMount } from '../ports.ts';

/** Where RUN sees the machine's certificates. A place of its own: a mount over the image's bundle would break its package's updates. */
const containerFolder = '/run/gantry-certificates';
const bundlePath = `${containerFolder}/ca-certificates.crt`;

/** Variables that the usual programs and libraries read the path of a certificate bundle from. */
const bundleVariables: readonly string[] = [
  'SSL_CERT_FILE',
  'NODE_EXTRA_CA_CERTS',
  'CURL_CA_BUNDLE',
  'REQUESTS_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'PIP_CERT',
  'AWS_CA_BUNDLE',
  'DENO_CERT',
];

export interface RunExtras {
  readonly variables: Readonly<Record<string, string>>;
  readonly mounts: readonly BuildMount[];
}

/** Certificates and proxies of the machine as variables and a read-only mount. `folder` is filled with what is mounted. */
export async function prepareRunExtras(environment: BuildEnvironment, folder: string): Promise<RunExtras> {
  const { certificateBundle, proxyVariables } = environment;
  if (certificateBundle === undefined) return { variables: proxyVariables, mounts: [] };
  await mkdir(folder, { recursive: true, mode: 0o755 });
  try {
    await copyFile(certificateBundle, join(folder, 'ca-certificates.crt'));
  } catch (error) {
    throw new GantryError('invalid', `cannot read the certificate bundle ${certificateBundle}`, { cause: error });
  }
  await writeFile(join(folder, 'apt.conf'), `Acquire::https::CAInfo "${bundlePath}";\n`);
  await writeFile(join(folder, 'wgetrc'), `ca_certificate = ${bundlePath}\n`);
  return {
    variables: {
      ...proxyVariables,
      ...Object.fromEntries(bundleVariables.map((name) => [name, bundlePath])),
      APT_CONFIG: `${containerFolder}/apt.conf`,
      WGETRC: `${containerFolder}/wgetrc`,
    },
    mounts: [{ kind: 'bind', hostPath: folder, containerPath: containerFolder, isReadOnly: true }],
  };
}
