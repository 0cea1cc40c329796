import type { RunInstruction } from '../instruction.ts';
import type { InstructionLine } from '../instruction-line.ts';
import { parseRunMount } from '../run-mount.ts';

const networks = ['default', 'none', 'host'] as const;

/** `RUN [--mount=… --network=… --security=…] command` */
export function parseRun(line: InstructionLine): RunInstruction {
  line.allowFlags({ mount: 'values', network: 'value', security: 'value', device: 'values' });
  const security = line.flag('security');
  if (security !== undefined && !['sandbox', 'insecure'].includes(security.text)) line.failAt(security.position, `--security is sandbox or insecure, not ${JSON.stringify(security.text)}`);
  const [device] = line.flagValues('device');
  if (device !== undefined) line.failAt(device.position, '--device is not supported');
  const flag = line.flag('network');
  const network = networks.find((name) => name === flag?.text);
  if (flag !== undefined && network === undefined) line.failAt(flag.position, `--network is default, none or host, not ${JSON.stringify(flag.text)}`);
  if (line.args.text === '') line.fail('RUN needs a command');
  const mounts = line.flagValues('mount');
  // Variables are not known yet; what does not depend on them is checked now.
  for (const mount of mounts) parseRunMount(mount.text, undefined, (message) => line.failAt(mount.position, message));
  return { kind: 'RUN', command: line.command(), heredocs: line.heredocs, mounts, ...(flag === undefined || network === undefined ? {} : { network, networkFlag: flag }), ...(security?.text === 'insecure' ? { insecureFlag: security } : {}), ...line.base };
}
