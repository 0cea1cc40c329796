import type { TemplateToken } from '@actions/workflow-parser/templates/tokens/template-token';
import { parseServiceOptions, type ServiceHealth } from './service-options.ts';
import type { JobContainer, Service, Template, TemplateMap } from './model.ts';
import { environmentNamePattern, type TokenReader } from './token-reader.ts';

/** A service's name becomes a host name and part of a container's name. */
const serviceNamePattern = /^[a-z0-9](?:[-a-z0-9]{0,50}[a-z0-9])?$/;

/** The one path that a job container may name as a volume, as workflows commonly do. It gets a socket of its own there, not the node's. */
const dockerSocket = '/var/run/docker.sock';

const reasons: Record<string, string> = {
  volumes: 'services have nothing of the host',
  credentials: 'images are pulled with the credentials of the node',
};

/** `jobs.<id>.container`: an image or a mapping. */
export function parseContainer(reader: TokenReader, token: TemplateToken): JobContainer | undefined {
  if (!reader.isMapping(token)) return { image: reader.template(token, 'container'), env: [], hasDocker: false };
  let image: Template | undefined;
  let env: TemplateMap = [];
  let hasDocker = false;
  reader.mapping(token, 'a container', {
    image: (value) => { image = reader.template(value, 'image'); },
    env: (value) => { env = reader.templateMap(value, 'env', environmentNamePattern); },
    volumes: (value) => { hasDocker = readVolumes(reader, value); },
  }, reasons);
  if (image === undefined) reader.fail(token, 'a container needs an image');
  return image === undefined ? undefined : { image, env, hasDocker };
}

/** Whether the socket is among them. Nothing else can be. */
function readVolumes(reader: TokenReader, token: TemplateToken): boolean {
  const volumes = reader.items(token).map((item) => ({ item, text: reader.literal(item, 'a volume') }));
  for (const { item, text } of volumes) {
    if (text !== `${dockerSocket}:${dockerSocket}`) reader.fail(item, `the volume ${JSON.stringify(text)} is not supported: jobs share the workspace and nothing of the host but ${dockerSocket}:${dockerSocket}, which is a socket of the job's own`);
  }
  return volumes.length > 0;
}

export function parseServices(reader: TokenReader, token: TemplateToken): Service[] {
  return reader.entries(token, 'services').flatMap(({ key, name, value }) => {
    if (!serviceNamePattern.test(name) || name === 'localhost') reader.fail(key, `${JSON.stringify(name)} is not a valid service name: lower-case letters, digits and dashes, as in a host name`);
    return parseService(reader, name, value);
  });
}

function parseService(reader: TokenReader, name: string, token: TemplateToken): Service[] {
  let image: Template | undefined;
  let env: TemplateMap = [];
  let ports: number[] = [];
  let health: ServiceHealth = {};
  if (!reader.isMapping(token)) image = reader.template(token, 'a service');
  else {
    reader.mapping(token, 'a service', {
      image: (value) => { image = reader.template(value, 'image'); },
      env: (value) => { env = reader.templateMap(value, 'env', environmentNamePattern); },
      ports: (value) => { ports = reader.items(value).flatMap((item) => readPort(reader, item)); },
      options: (value) => {
        const parsed = parseServiceOptions(reader.literal(value, 'options'));
        if ('problem' in parsed) reader.fail(value, parsed.problem);
        else {
          ({ health } = parsed);
          env = [...env, ...parsed.env.map(([key, text]) => ({ name: key, value: { kind: 'text' as const, text, place: reader.placeOf(value) } }))];
        }
      },
    }, reasons);
  }
  if (image === undefined) {
    reader.fail(token, `the service ${name} needs an image`);
    return [];
  }
  return [{ name, image, env, ports, healthCommand: health.command, readyTimeoutSeconds: health.timeoutSeconds ?? 120 }];
}

/** `5432` or `5432:5432`. The job is beside the service on one address, so a port cannot be mapped to another. */
function readPort(reader: TokenReader, token: TemplateToken): number[] {
  const text = reader.literal(token, 'a port');
  const match = /^(?:(\d+):)?(\d+)(?:\/tcp)?$/.exec(text);
  const [, host, container] = match ?? [];
  const port = Number(container);
  if (match === null || port < 1 || port > 65_535) reader.fail(token, `${JSON.stringify(text)} is not a TCP port`);
  else if (host !== undefined && host !== container) reader.fail(token, `the port ${container} cannot be mapped to ${host}: jobs reach services by their name at the container's own port`);
  else return [port];
  return [];
}
