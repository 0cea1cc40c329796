import type { k8s } from '../../api/mod.ts';
import { readTextIfExists } from '../../kernel/mod.ts';
import type { NodeServices } from './node-services.ts';
import type { PodContainer } from './ports.ts';

/** Kubernetes, "Customizing the termination message": what is kept of the file, and of the log when it stands in. */
const maxMessageBytes = 4096;
const maxLogBytes = 2048;
const maxLogLines = 80;

/** Why the container ended in its own words; empty when it left none. */
export async function readTerminationMessage({ volumes, runtime }: Pick<NodeServices, 'volumes' | 'runtime'>, pod: k8s.Pod, container: PodContainer): Promise<string> {
  const text = await readTextIfExists(volumes.terminationMessageFile(pod, container.name, container.attempt));
  if (text !== undefined && text !== '') return text.slice(0, maxMessageBytes);
  const spec = [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])].find(({ name }) => name === container.name);
  if (spec?.terminationMessagePolicy !== 'FallbackToLogsOnError' || container.exitCode === 0) return '';
  const lines: Buffer[] = [];
  for await (const line of runtime.logs(container.id, { follow: false, tailLines: maxLogLines }, AbortSignal.timeout(5_000))) {
    lines.push(line.text, ...(line.isPartial ? [] : [Buffer.from('\n')]));
  }
  return Buffer.concat(lines).subarray(-maxLogBytes).toString();
}
