import { GantryError } from '../../../kernel/mod.ts';
import type { MountPropagation, MountSpec } from '../../types.ts';
import { checkVolumeName } from '../../volumes/volume-name.ts';
import type { HostConfigRequest, MountRequest } from '../requests/create-container.ts';

/** A mount of the request. A volume without a name is anonymous: it is made for this container. */
export type PlannedMount =
  | Exclude<MountSpec, { type: 'volume' }>
  | { type: 'volume'; volume: string | undefined; target: string; isReadOnly: boolean; copyUp: boolean; subpath?: string; labels: Record<string, string>; options: Record<string, string> };

const propagations: readonly string[] = ['private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared'] satisfies MountPropagation[];

/** `source:target[:options]` of `docker run -v`. `invalid` says what is wrong with it. */
export function parseBind(bind: string): PlannedMount {
  const parts = bind.split(':');
  const [source = '', target = '', options = ''] = parts;
  if (parts.length > 3 || parts.length < 2) throw invalid(`invalid volume specification: '${bind}'`);
  if (!target.startsWith('/')) throw invalid(`invalid volume specification: '${bind}': invalid mount config for type "${source.startsWith('/') ? 'bind' : 'volume'}": invalid mount path: '${target}' mount path must be absolute`);
  const words = options === '' ? [] : options.split(',');
  const flags = bindOptions(words, bind);
  if (source.startsWith('/')) {
    if (flags.isNoCopy) throw invalid(`invalid volume specification: '${bind}': nocopy is for volumes`);
    return { type: 'bind', source, target, isReadOnly: flags.isReadOnly, propagation: flags.propagation ?? 'rprivate', isRecursive: true, createSource: true };
  }
  checkVolumeName(source);
  if (flags.propagation !== undefined) throw invalid(`invalid volume specification: '${bind}': propagation is for host folders`);
  return { type: 'volume', volume: source, target, isReadOnly: flags.isReadOnly, copyUp: !flags.isNoCopy, labels: {}, options: {} };
}

function bindOptions(words: readonly string[], bind: string): { isReadOnly: boolean; isNoCopy: boolean; propagation: MountPropagation | undefined } {
  let isReadOnly = false;
  let isNoCopy = false;
  let propagation: MountPropagation | undefined;
  for (const word of words) {
    if (word === 'ro') isReadOnly = true;
    else if (word === 'nocopy') isNoCopy = true;
    else if (propagations.includes(word)) propagation = word as MountPropagation;
    // Labels of SELinux and hints for file sharing on macOS: nothing to do on this host.
    else if (!['rw', 'z', 'Z', 'cached', 'delegated', 'consistent', ''].includes(word)) throw invalid(`invalid volume specification: '${bind}': invalid mode: ${word}`);
  }
  return { isReadOnly, isNoCopy, propagation };
}

/** `--mount` of `docker run`. */
export function planMount(mount: MountRequest, index: number): PlannedMount {
  const refuse = (why: string): never => {
    throw invalid(`HostConfig.Mounts[${index}]: ${why}`);
  };
  const { Type: type, Target: target } = mount;
  const isReadOnly = mount.ReadOnly ?? false;
  if (type !== 'bind' && mount.BindOptions !== undefined) refuse(`BindOptions do not fit a mount of type ${type}`);
  if (type !== 'volume' && mount.VolumeOptions !== undefined) refuse(`VolumeOptions do not fit a mount of type ${type}`);
  if (type !== 'tmpfs' && mount.TmpfsOptions !== undefined) refuse(`TmpfsOptions do not fit a mount of type ${type}`);
  if (type === 'tmpfs') {
    if (mount.Source !== undefined && mount.Source !== '') refuse('a tmpfs has no source');
    const { SizeBytes, Mode, Options } = mount.TmpfsOptions ?? {};
    const options = (Options ?? []).map((option) => option.join('='));
    for (const option of options) if (!isTmpfsOption(option)) refuse(`invalid tmpfs option ${JSON.stringify(option)}`);
    if ((SizeBytes ?? 0) < 0) refuse('SizeBytes cannot be negative');
    if (((Mode ?? 0) & ~0o7777) !== 0) refuse('Mode has more than permission bits');
    return { type, target, isReadOnly, ...(SizeBytes === undefined ? {} : { sizeBytes: SizeBytes }), ...(Mode === undefined ? {} : { mode: Mode }), options };
  }
  if (type === 'bind') {
    const { Propagation, NonRecursive, CreateMountpoint } = mount.BindOptions ?? {};
    const source = mount.Source ?? '';
    if (!source.startsWith('/')) refuse(`invalid mount config for type "bind": invalid mount path: '${source}' mount path must be absolute`);
    const propagation = Propagation ?? '';
    if (propagation !== '' && !propagations.includes(propagation)) refuse(`invalid propagation mode ${propagation}`);
    return { type, source, target, isReadOnly, propagation: propagation === '' ? 'rprivate' : (propagation as MountPropagation), isRecursive: NonRecursive !== true, createSource: CreateMountpoint === true };
  }
  const { NoCopy, Labels, DriverConfig, Subpath = '' } = mount.VolumeOptions ?? {};
  const driver = DriverConfig?.Name ?? '';
  if (driver !== '' && driver !== 'local') refuse(`the volume driver ${driver} is not supported`);
  const volume = mount.Source === undefined || mount.Source === '' ? undefined : mount.Source;
  if (volume !== undefined) checkVolumeName(volume);
  if (Subpath !== '' && (Subpath.startsWith('/') || Subpath.split('/').includes('..'))) refuse(`the subpath ${JSON.stringify(Subpath)} must be relative and stay below the volume`);
  return { type, volume, target, isReadOnly, copyUp: NoCopy !== true, ...(Subpath === '' ? {} : { subpath: Subpath }), labels: Labels ?? {}, options: DriverConfig?.Options ?? {} };
}

/** `--tmpfs /path:options`. */
export function parseTmpfs(target: string, options: string): PlannedMount {
  let isReadOnly = false;
  let sizeBytes: number | undefined;
  let mode: number | undefined;
  const others: string[] = [];
  for (const option of options === '' ? [] : options.split(',')) {
    const [name = '', value = ''] = option.split('=', 2);
    if (name === 'ro') isReadOnly = true;
    else if (name === 'size' && /^\d+[kmg]?$/i.test(value) && Number.isSafeInteger(parseSize(value))) sizeBytes = parseSize(value);
    else if (name === 'mode' && /^[0-7]{1,4}$/.test(value)) mode = Number.parseInt(value, 8);
    else if (isTmpfsOption(option)) others.push(option);
    else throw invalid(`invalid tmpfs option ${JSON.stringify(option)} of ${target}`);
  }
  return { type: 'tmpfs', target, isReadOnly, ...(sizeBytes === undefined ? {} : { sizeBytes }), ...(mode === undefined ? {} : { mode }), options: others };
}

/** None that the runtime would take for another kind of mount (`bind`, `shared`), and none that holds another. */
function isTmpfsOption(option: string): boolean {
  return /^(rw|exec|noexec|suid|nosuid|dev|nodev|noatime|relatime|strictatime|nr_inodes=\d+[kmg]?|nr_blocks=\d+[kmg]?|uid=\d+|gid=\d+)$/i.test(option);
}

function parseSize(text: string): number {
  const units: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };
  return Number.parseInt(text, 10) * (units[text.slice(-1).toLowerCase()] ?? 1);
}

export interface MountSources {
  readonly hostConfig: HostConfigRequest;
  /** Paths of the request's and the image's VOLUMEs. */
  readonly volumes: readonly string[];
  /** The mounts of a container that `--volumes-from` names. */
  readonly mountsOf: (container: string) => readonly MountSpec[];
}

/** All mounts: an earlier source wins where two have one target, except that naming a target twice is the client's mistake. */
export function planMounts({ hostConfig, volumes, mountsOf }: MountSources): PlannedMount[] {
  const planned: PlannedMount[] = [
    ...hostConfig.Binds.map(parseBind),
    ...hostConfig.Mounts.map(planMount),
    ...Object.entries(hostConfig.Tmpfs).map(([target, options]) => parseTmpfs(target, options)),
  ];
  const targets = new Set<string>();
  for (const { target } of planned) {
    if (targets.has(normalTarget(target))) throw invalid(`Duplicate mount point: ${target}`);
    targets.add(normalTarget(target));
  }
  const driver = hostConfig.VolumeDriver ?? '';
  if (driver !== '' && driver !== 'local') throw invalid(`the volume driver ${driver} is not supported`);
  const inherited = hostConfig.VolumesFrom.flatMap((from) => volumesFrom(from, mountsOf));
  const implied = volumes.map((target): PlannedMount => ({ type: 'volume', volume: undefined, target, isReadOnly: false, copyUp: true, labels: {}, options: {} }));
  for (const mount of [...inherited, ...implied]) {
    if (targets.has(normalTarget(mount.target))) continue;
    targets.add(normalTarget(mount.target));
    planned.push(mount);
  }
  return planned;
}

function volumesFrom(from: string, mountsOf: MountSources['mountsOf']): PlannedMount[] {
  const [container = '', mode = 'rw', ...rest] = from.split(':');
  if (rest.length > 0 || !['rw', 'ro', 'z', 'Z'].includes(mode)) throw invalid(`invalid volumes-from specification: '${from}'`);
  return mountsOf(container)
    .filter(({ type }) => type !== 'tmpfs')
    .map((mount): PlannedMount => {
      const isReadOnly = mount.isReadOnly || mode === 'ro';
      return mount.type === 'volume' ? { ...mount, isReadOnly, labels: {}, options: {} } : { ...mount, isReadOnly };
    });
}

function normalTarget(target: string): string {
  return target.replace(/\/+$/, '');
}

function invalid(message: string): GantryError {
  return new GantryError('invalid', message);
}
