import { GantryError } from '../../kernel/mod.ts';
import { AgentClient, errorCodeOf } from '../agent-client.ts';
import { formatAge, formatTable, print, printJson } from '../output.ts';
import { type InstanceOptions, interruptSignal, openInstanceOf } from '../session.ts';

/** Asks the agent to make a base image. Progress goes to standard error, the name of the image to standard output. */
export async function bootstrapImage(name: string, options: InstanceOptions & { quiet?: boolean }): Promise<void> {
  const { paths } = await openInstanceOf(options);
  for await (const line of new AgentClient(paths.agentSocket).lines('POST', `/images/bootstrap?name=${encodeURIComponent(name)}`, undefined, interruptSignal())) {
    const message = line as { progress?: string; result?: string; error?: { code: string; message: string } };
    if (message.progress !== undefined && options.quiet !== true) process.stderr.write(`${message.progress}\n`);
    if (message.error !== undefined) throw new GantryError(errorCodeOf(message.error.code), message.error.message);
    if (message.result !== undefined) print(message.result);
  }
}

interface ListedImage { Id: string; RepoTags: string[]; Size: number; Created: number }

/** Through the Docker API, which is where images are listed for everyone. */
export async function listImages(options: InstanceOptions & { json?: boolean }): Promise<void> {
  const { paths } = await openInstanceOf(options);
  const images = (await new AgentClient(paths.dockerSocket).json('GET', '/images/json', undefined, interruptSignal())) as ListedImage[];
  if (options.json === true) return printJson(images);
  const rows = images.flatMap((image) =>
    (image.RepoTags.length === 0 ? ['<none>'] : image.RepoTags).map((tag) => [tag, image.Id.replace('sha256:', '').slice(0, 12), `${Math.round(image.Size / 1e6)} MB`, formatAge(new Date(image.Created * 1000).toISOString())]),
  );
  print(formatTable(['NAME', 'ID', 'SIZE', 'AGE'], rows));
}
