/** The architecture: who may import whom, and which npm packages each layer may use. Enforced by architecture.test.ts. */
export interface Layer {
  /** Folder under src/. */
  readonly folder: string;
  /** Layers it may import, only through their mod.ts. */
  readonly imports: readonly string[];
  /** npm packages it may import. */
  readonly packages: readonly string[];
}

export const layers: readonly Layer[] = [
  { folder: 'kernel', imports: [], packages: ['pino', 'zod'] },
  { folder: 'host', imports: ['kernel'], packages: ['koffi'] },
  { folder: 'context', imports: ['kernel'], packages: [] },
  { folder: 'wire', imports: ['kernel'], packages: ['@bufbuild/protobuf'] },
  { folder: 'api', imports: ['kernel', 'wire'], packages: ['croner', 'zod'] },
  { folder: 'client', imports: ['kernel', 'wire', 'api'], packages: ['undici', 'ws', 'yaml', 'zod'] },
  { folder: 'store', imports: ['kernel'], packages: ['undici'] },
  { folder: 'git', imports: ['kernel', 'api', 'client'], packages: ['zod'] },
  { folder: 'ci', imports: ['kernel', 'wire', 'api', 'client'], packages: ['@actions/workflow-parser', '@actions/expressions', 'yaml', 'fast-xml-parser', 'zod'] },
  { folder: 'builder', imports: ['kernel', 'host', 'context', 'wire', 'api', 'client'], packages: ['zod'] },
  { folder: 'registry', imports: ['kernel', 'wire', 'api', 'store'], packages: ['undici', 'zod'] },
  { folder: 'engine', imports: ['kernel', 'host', 'wire', 'api', 'store'], packages: ['zod'] },
  { folder: 'cluster/apiserver', imports: ['kernel', 'wire', 'api', 'store'], packages: ['yaml', 'js-yaml', 'ws', 'zod', '@marcbachmann/cel-js'] },
  { folder: 'cluster/controllers', imports: ['kernel', 'api', 'client'], packages: [] },
  { folder: 'cluster/scheduler', imports: ['kernel', 'api', 'client'], packages: [] },
  { folder: 'cluster/node', imports: ['kernel', 'host', 'wire', 'api', 'client'], packages: ['ws', 'zod'] },
  { folder: 'cluster/proxy', imports: ['kernel', 'host', 'api', 'client'], packages: [] },
  { folder: 'cluster/ingress', imports: ['kernel', 'api', 'client'], packages: [] },
  { folder: 'cluster/dns', imports: ['kernel', 'wire', 'api', 'client'], packages: ['dns-packet'] },
  { folder: 'delivery', imports: ['kernel', 'wire', 'api', 'client'], packages: ['yaml', 'zod'] },
  {
    folder: 'server',
    imports: [
      ...['kernel', 'host', 'wire', 'api', 'client', 'store', 'git', 'ci', 'builder', 'registry', 'engine', 'delivery'],
      ...['cluster/apiserver', 'cluster/controllers', 'cluster/scheduler', 'cluster/node', 'cluster/proxy', 'cluster/ingress', 'cluster/dns'],
    ],
    packages: ['@peculiar/x509', 'reflect-metadata', 'yaml', 'zod'],
  },
  { folder: 'cli', imports: ['kernel', 'context', 'api', 'client', 'server'], packages: ['commander', 'yaml'] },
];
