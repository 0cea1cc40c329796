import { join } from 'node:path';
import type { JobEnvironment } from '../../ci/mod.ts';
import { certificateBundleOf, type Instance } from '../instance.ts';
import { proxyVariables } from '../process-environment.ts';

/** The image of `runs-on` labels that the settings do not name. */
const defaultRunnerImage = 'node:24-slim';

/** What the instance's settings give to the jobs of ci. */
export function jobEnvironmentOf({ settings, record, paths }: Pick<Instance, 'settings' | 'record' | 'paths'>): JobEnvironment {
  return {
    certificateBundle: certificateBundleOf(settings),
    proxyVariables: proxyVariables(settings),
    runnerImages: { '*': defaultRunnerImage, ...settings.runnerImages },
    registryHost: `127.0.0.1:${record.registryPort}`,
    cacheFolder: join(paths.ci, 'cache'),
  };
}
