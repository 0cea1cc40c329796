import { formatPlace, GantryError } from '../../kernel/mod.ts';
import type { Evaluation } from '../expressions/evaluate.ts';
import type { JobEnvironment, JobRequest } from '../ports.ts';
import type { Job } from '../workflow/model.ts';
import { packageCacheVariables } from './package-cache.ts';

/** Where the certificate bundle is mounted in jobs. */
export const certificateBundlePath = '/etc/gantry/ca-certificates.crt';

/** Variables by which common tools find the bundle. */
const certificateVariables = ['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS', 'GIT_SSL_CAINFO', 'CURL_CA_BUNDLE', 'REQUESTS_CA_BUNDLE', 'PIP_CERT', 'npm_config_cafile'];

/** What the machine adds to the environment of the job's container. */
export function machineVariables(environment: JobEnvironment): Record<string, string> {
  const certificates = environment.certificateBundle === undefined ? [] : certificateVariables.map((name) => [name, certificateBundlePath]);
  return { ...Object.fromEntries(certificates), ...environment.proxyVariables, GANTRY_REGISTRY: environment.registryHost };
}

/** The container and services of a job with everything evaluated. `invalid` names the place of a `runs-on` that has no image. */
export function prepareJob(job: Job, evaluation: Evaluation, environment: JobEnvironment, names: Pick<JobRequest, 'run' | 'podName' | 'cachePath'>): JobRequest {
  return {
    ...names,
    jobId: job.id,
    image: job.container === undefined ? runnerImage(job, evaluation, environment) : evaluation.text(job.container.image),
    env: { ...machineVariables(environment), ...(names.cachePath === undefined ? {} : packageCacheVariables), ...(job.container === undefined ? {} : evaluation.record(job.container.env)) },
    hasDocker: job.container?.hasDocker ?? false,
    services: job.services.map(({ name, image, env, ports, healthCommand, readyTimeoutSeconds }) => ({
      name,
      image: evaluation.text(image),
      env: evaluation.record(env),
      ports: [...ports],
      healthCommand,
      readyTimeoutSeconds,
    })),
  };
}

function runnerImage(job: Job, evaluation: Evaluation, environment: JobEnvironment): string {
  const label = evaluation.text(job.runsOn);
  const image = Object.hasOwn(environment.runnerImages, label) ? environment.runnerImages[label] : environment.runnerImages['*'];
  if (image !== undefined) return image;
  const place = { ...job.runsOn.place, message: `there is no image for runs-on: ${label}; known are ${Object.keys(environment.runnerImages).join(', ') || 'none'}` };
  throw new GantryError('invalid', formatPlace(place), { places: [place] });
}
