/** A difference between this engine and dockerd 20.10 that is meant, and why. */
export interface Explanation {
  /** Where: the case and the fields below it, with `*` for one part of a path and `**` for any number. */
  readonly where: string | readonly string[];
  /** What differs, in a word, for the table of the compatibility page. */
  readonly what: string;
  readonly why: string;
}

/** Every difference that the comparison finds is explained here. */
export const explanations: readonly Explanation[] = [
  { where: ['**/message', 'cli/**/stderr', 'lifecycle/start that fails/State/Error'], what: 'words of errors', why: 'those of newer versions of dockerd, or own words where they tell more; status and exit code are the same' },
  { where: ['**/HostConfig/CgroupnsMode'], what: 'default cgroup namespace', why: 'private on every host; dockerd has the host\'s on cgroup v1' },
  { where: ['**/HostConfig/MaskedPaths'], what: 'masked paths', why: 'some more are hidden' },
  { where: ['**/HostConfig/Runtime'], what: 'runtime', why: 'always named; dockerd leaves it out when there is no HostConfig at all' },
  { where: ['**/HostConfig/BlkioWeight'], what: 'block I/O weight without a scheduler that has weights', why: 'shown as asked for, with a warning; dockerd shows 0' },
  { where: ['**/HostConfig/SecurityOpt'], what: 'label=disable', why: 'of SELinux, which this engine does not set' },
  { where: ['**/Mounts/*/Source', 'volumes/**/Mountpoint', 'system/df/Volumes/*/Mountpoint'], what: 'folder of volumes', why: 'the engine\'s own layout' },
  { where: ['**/Mounts/*/Mode'], what: 'mode z of volumes', why: 'a label of SELinux' },
  { where: ['**/GraphDriver'], what: 'folders of layers', why: 'the engine\'s own layout: only the writable one is told' },
  { where: ['**/ResolvConfPath', '**/HostnamePath', '**/HostsPath', '**/LogPath', '**/SandboxID', '**/SandboxKey'], what: 'paths of the engine\'s own files', why: 'not told: their formats and places are the engine\'s' },
  { where: ['create/cgroup parent'], what: 'CgroupParent', why: 'refused: the engine places its containers itself' },
  { where: ['refused/*/statusCode', 'lifecycle/*/*/statusCode', 'streams/*/*/statusCode', 'streams/top/bad', 'networks/**/statusCode', 'images/**/statusCode'], what: 'mistakes of the caller', why: '4xx where dockerd 20.10 answers 500' },
  { where: ['refused/weight out of range', 'refused/unknown ipc mode', 'refused/unknown pid mode', 'refused/bad port', 'lifecycle/wait/wrong'], what: 'values without a meaning', why: 'refused, as newer versions of dockerd do; 20.10 takes them' },
  { where: ['streams/exec/ended/Pid'], what: 'process id of an exec that has ended', why: '0' },
  { where: ['streams/exec/again', 'streams/exec/failed', 'streams/exec/failing', 'cli/detached/*'], what: 'exec of a program that is not there', why: '127 and an error answer, as newer versions; 20.10 has 126 and writes into the stream' },
  { where: ['networks/**/EnableIPv4', 'networks/**/IPAM/Options', 'networks/**/Created'], what: 'fields of networks', why: 'newer than 20.10, or nothing that is told' },
  { where: ['images/inspect/Metadata', 'images/commit/image', 'images/import of a root file system/image'], what: 'where an image came from', why: 'the container and the version that made an image are not kept in it' },
  { where: ['system/info/Runtimes'], what: 'runtimes', why: 'those that there are' },
  { where: ['system/df/BuildCache', 'system/df/Volumes/*/UsageData', 'system/df/Volumes/*/usage'], what: 'disk usage', why: 'measured when asked; what the build cache holds is not told' },
  { where: ['system/events/container/*/Actor/Attributes/execDuration', 'system/events/others', 'system/events/bad'], what: 'events', why: 'die tells how long it ran, as newer versions; a volume that exists is not created again; a bad filter is 400' },
  { where: ['system/auth'], what: 'login', why: 'the registry decides at the first pull or push' },
];

/** What depends on the machine rather than on the daemon: not compared. */
export const machineDependent: readonly Explanation[] = [
  { where: ['streams/stats/*/memory_stats/stats'], what: 'counters of memory', why: 'all that the kernel has; dockerd 20.10 tells fewer' },
];
