import { request } from 'node:http';
import { errnoOf, errorCodes, GantryError } from '../../kernel/mod.ts';
import { type EngineFinding, examineOffline, examineProcesses, locateInstance } from '../../server/mod.ts';
import { readEnvironment } from '../environment.ts';
import { doctorStatuses } from '../exit-codes.ts';
import { formatTable, print, printJson } from '../output.ts';
import { type InstanceOptions, interruptSignal } from '../session.ts';

/** Examines the instance: through its agent, or without it when it does not run. The exit status says whether something was found. */
export async function doctor(options: InstanceOptions & { repair?: boolean; json?: boolean }): Promise<void> {
  const location = await locateInstance(options.dataDir ?? readEnvironment().dataDir);
  const isRepaired = options.repair === true;
  const ofProcesses = await examineProcesses(location, isRepaired);
  const ofAgent = await askAgent(location.paths.agentSocket, isRepaired);
  const findings = [...ofProcesses, ...(ofAgent ?? (await examineOffline(location, isRepaired, interruptSignal())))];
  process.exitCode = statusOf(findings);
  if (options.json === true) return printJson({ agent: ofAgent === undefined ? 'down' : 'running', findings });
  print(ofAgent === undefined ? 'the agent is not running: examined without it' : 'examined by the agent');
  if (findings.length === 0) return print('nothing found');
  const left = findings.filter((finding) => !finding.isRepaired).length;
  print(formatTable(['KIND', 'NAME', 'PROBLEM', 'STATE'], findings.map((finding) => [finding.kind, finding.name, finding.problem, finding.isRepaired ? 'repaired' : 'found'])));
  print(`${findings.length} found, ${findings.length - left} repaired`);
}

function statusOf(findings: readonly EngineFinding[]): number {
  if (findings.length === 0) return 0;
  return findings.every(({ isRepaired }) => isRepaired) ? doctorStatuses.repaired : doctorStatuses.found;
}

/** Undefined when no agent listens. */
async function askAgent(socketPath: string, isRepaired: boolean): Promise<EngineFinding[] | undefined> {
  const answer = await new Promise<{ status: number; body: string } | undefined>((resolve, reject) => {
    const call = request({ socketPath, method: 'POST', path: `/doctor?repair=${isRepaired}`, signal: interruptSignal() }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      response.on('error', reject);
    });
    call.once('error', (error) => (['ENOENT', 'ECONNREFUSED'].includes(errnoOf(error) ?? '') ? resolve(undefined) : reject(error)));
    call.end();
  });
  if (answer === undefined) return undefined;
  const body: unknown = JSON.parse(answer.body);
  if (answer.status === 200) return body as EngineFinding[];
  const { code, message } = body as { code?: string; message?: string };
  throw new GantryError(errorCodes.find((known) => known === code) ?? 'internal', message ?? answer.body);
}
