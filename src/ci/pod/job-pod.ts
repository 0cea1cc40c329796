import type { k8s } from '../../api/mod.ts';
import { packageCachePath } from '../job/package-cache.ts';
import { certificateBundlePath } from '../job/prepare-job.ts';
import type { JobRequest, JobService } from '../ports.ts';

export const workspacePath = '/workspace';
export const temporaryPath = '/gantry';
export const jobContainer = 'job';
const dockerSocketPath = '/var/run/docker.sock';
/** Gives a pod a Docker socket that is limited to what was made through it, and ends with the pod. A cluster without the driver does not start the pod. */
const dockerDriver = 'docker.gantry.dev';

/** Labels of job pods: the workload class, the run, and the job. */
export const jobLabels = { workload: 'gantry.dev/workload', run: 'gantry.dev/run', job: 'gantry.dev/job' } as const;

export interface JobPodOptions {
  /** Host path of the certificate bundle, mounted read-only. */
  readonly certificateBundle: string | undefined;
}

/** Waits for ever, takes in orphaned processes, and ends at once when asked to. */
const idleCommand = ['sh', '-c', "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"];

/** The pod of a job: the job's container, idle, and its services beside it on the same address, reachable by their names. */
export function toJobPod({ run, jobId, podName, image, env, services, cachePath, hasDocker }: JobRequest, { certificateBundle }: JobPodOptions): k8s.Pod {
  const volumes: k8s.Volume[] = [{ name: 'workspace', emptyDir: {} }, { name: 'gantry', emptyDir: {} }];
  const mounts: k8s.VolumeMount[] = [{ name: 'workspace', mountPath: workspacePath }, { name: 'gantry', mountPath: temporaryPath }];
  if (certificateBundle !== undefined) {
    volumes.push({ name: 'certificates', hostPath: { path: certificateBundle, type: 'File' } });
    mounts.push({ name: 'certificates', mountPath: certificateBundlePath, readOnly: true });
  }
  if (cachePath !== undefined) {
    volumes.push({ name: 'cache', hostPath: { path: cachePath, type: 'Directory' } });
    mounts.push({ name: 'cache', mountPath: packageCachePath });
  }
  if (hasDocker) {
    volumes.push({ name: 'docker', csi: { driver: dockerDriver } });
    mounts.push({ name: 'docker', mountPath: dockerSocketPath });
  }
  const variables = hasDocker ? { ...env, DOCKER_HOST: `unix://${dockerSocketPath}` } : env;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: podName,
      namespace: run.namespace,
      labels: { [jobLabels.workload]: 'job', [jobLabels.run]: run.name, [jobLabels.job]: jobId },
      ownerReferences: [{ apiVersion: 'gantry.dev/v1', kind: 'WorkflowRun', name: run.name, uid: run.uid, controller: true, blockOwnerDeletion: true }],
    },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      ...(services.length === 0 ? {} : { hostAliases: [{ ip: '127.0.0.1', hostnames: services.map(({ name }) => name) }] }),
      containers: [
        { name: jobContainer, image, imagePullPolicy: 'IfNotPresent', command: idleCommand, workingDir: workspacePath, env: toEnvVars(variables), volumeMounts: mounts },
        ...services.map(toServiceContainer),
      ],
      volumes,
    },
  };
}

/** The name of a service's container. */
export function serviceContainerName(service: string): string {
  return `service-${service}`;
}

function toServiceContainer({ name, image, env, ports, healthCommand }: JobService): k8s.Container {
  const [port] = ports;
  const check = healthCommand === undefined ? (port === undefined ? undefined : { tcpSocket: { port } }) : { exec: { command: ['sh', '-c', healthCommand] } };
  return {
    name: serviceContainerName(name),
    image,
    imagePullPolicy: 'IfNotPresent',
    env: toEnvVars(env),
    ports: ports.map((containerPort) => ({ containerPort, protocol: 'TCP' })),
    ...(check === undefined ? {} : { readinessProbe: { ...check, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 1, successThreshold: 1 } }),
  };
}

function toEnvVars(env: Readonly<Record<string, string>>): k8s.EnvVar[] {
  // A dollar sign would start a reference to another variable (Kubernetes, "Define dependent environment variables").
  return Object.entries(env).map(([name, value]) => ({ name, value: value.replaceAll('$', '$$$$') }));
}
