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
  {
    where: ['lifecycle/what a state forbids/kill */message', 'lifecycle/what a state forbids/* created/message', 'lifecycle/rename, prune, remove with volumes/bad/message', 'lifecycle/list filters/{"status":["nosuch"]}/message', 'lifecycle/list filters/{"health":["nosuch"]}/message', '**/{"nosuch":["x"]}/message', 'volumes/create, inspect, list, remove/filters/{"dangling":["x"]}/message', 'volumes/in use, contents, prune/bad/message', 'images/prune, search, pull of nothing/badFilter/message', 'cli/errors/4 ps --filter status=nosuch/stderr', 'cli/prune by label/*nosuch=x/stderr', 'cli/prune by label/*until=1h/stderr'],
    what: 'errors about states and filters', why: 'begin with a small letter, as in newer versions',
  },
  {
    where: ['refused/unknown restart policy/message', 'refused/retries without on-failure/message', 'refused/unknown runtime/message', 'lifecycle/what a state forbids/remove running/message', 'images/list, filters, tag, remove/inspectNone/message', 'builds/what fails/left/message', 'cli/images/9 image inspect nosuch/stderr', 'cli/save, load, export and import/steps/8 *'],
    what: 'errors about restart policies, runtimes, removing what runs, images that are not there', why: 'the words of newer versions',
  },
  { where: ['lifecycle/list filters/{"before":["nosuch"]}', 'lifecycle/list filters/{"exited":["x"]}', 'lifecycle/list filters/{"publish":["abc"]}'], what: 'filters `before`, `exited`, `publish` with wrong values', why: '404 and 400 with own words, where 20.10 answers 500 with those of a parser' },
  { where: ['images/list, filters, tag, remove/badTag'], what: 'names that no image can have', why: '400, which 20.10 answers 500; the words name the reference' },
  { where: ['volumes/a folder of the host/badOption/message'], what: 'wrong options of a volume', why: 'the error does not repeat the volume\'s name' },
  { where: ['networks/containers join and leave/inUse/message', 'cli/networks/5 network rm back/stderr'], what: 'removing a network that is used', why: 'the error says by whom' },
  { where: ['system/swarm/*/message'], what: 'swarm', why: 'the error does not send one to `docker swarm init`, which would not help' },
  { where: ['lifecycle/start that fails/answer/message', 'lifecycle/start that fails/State/Error', 'cli/run/3 run --rm busybox nosuch/stderr', 'cli/run/4 run --rm --entrypoint |etc|passwd busybox/stderr'], what: 'programs that cannot be started', why: 'the runtime\'s words without the names of the parts they came through' },
  { where: ['cli/errors/7 create --name lost --network nosuch busybox', 'cli/errors/8 start lost/stderr'], what: 'networks that are not there', why: 'refused when the container is created, not only when it is started' },
  { where: ['cli/errors/1 run --rm 127.0.0.1:1|x:1 true/stderr'], what: 'registries that do not answer', why: 'the error comes within the progress, and names the reference' },
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
  {
    where: ['refused/bad bind/statusCode', 'refused/relative target/statusCode', 'refused/unknown security option/statusCode', 'lifecycle/what a state forbids/unpause running/statusCode', 'streams/top/bad', 'streams/files/onFile/statusCode', 'networks/create, inspect, list, remove/filters/{"type":["x"]}/statusCode', 'networks/create, inspect, list, remove/noName/statusCode', 'networks/containers join and leave/notThere/statusCode', 'networks/links on the default network/tooEarly/statusCode', 'networks/links on the default network/bad/statusCode'],
    what: 'mistakes in mounts, security options, `ps` options, archives, links, network names and filters; unpausing what is not paused, leaving a network that was not joined, linking to what does not run', why: '400 and 409, where 20.10 answers 500',
  },
  { where: ['refused/weight out of range', 'refused/unknown ipc mode', 'refused/unknown pid mode', 'refused/bad port', 'lifecycle/wait/wrong'], what: 'values without a meaning', why: 'refused, as newer versions of dockerd do; 20.10 takes them' },
  { where: ['streams/exec/ended/Pid'], what: 'process id of an exec that has ended', why: '0' },
  { where: ['streams/exec/again', 'streams/exec/failed', 'streams/exec/failing', 'cli/detached/*'], what: 'exec of a program that is not there', why: '127 and an error answer, as newer versions; 20.10 has 126 and writes into the stream' },
  { where: ['networks/**/EnableIPv4', 'networks/**/IPAM/Options', 'networks/**/Created'], what: 'fields of networks', why: 'newer than 20.10, or nothing that is told' },
  { where: ['images/inspect/Metadata', 'images/commit/image', 'images/import of a root file system/image'], what: 'where an image came from', why: 'the container and the version that made an image are not kept in it' },
  { where: ['system/info/Runtimes'], what: 'runtimes', why: 'those that there are' },
  { where: ['system/df/BuildCache', 'system/df/Volumes/*/UsageData', 'system/df/Volumes/*/usage'], what: 'disk usage', why: 'measured when asked' },
  { where: ['system/events/container/*/Actor/Attributes/execDuration', 'system/events/volumesCreated', 'system/events/bad'], what: 'events', why: 'die tells how long it ran, as newer versions; a volume that exists is not created again; a bad filter is 400' },
  {
    where: ['system/auth', 'registry/login to */wrong/statusCode', 'registry/login to */nobody', 'registry/login to one that does not answer', 'registry/push, look up, pull/wrong/statusCode', 'registry/push, look up, pull/lookUpWrong', 'registry/push, look up, pull/lookUpNone/message', 'registry/push, look up, pull/refused/2', 'cli/login, push, pull, logout/8/stderr'],
    what: 'registries that refuse or do not answer', why: '401 (login), 403 and 503 where 20.10 answers 500; the error names the reference and who refused it',
  },
  { where: ['registry/push, look up, pull/lookedUp/Descriptor/mediaType'], what: 'manifests that are pushed', why: 'in OCI\'s format' },
  { where: ['registry/push, look up, pull/pulled', 'registry/push, look up, pull/upToDate'], what: 'pulling an image that is there', why: 'each of its layers is told to exist' },
  { where: ['registry/push, look up, pull/pushNone'], what: 'pushing an image that is not there', why: '404, where dockerd tells it in the progress' },
  { where: ['builds/**/hasContainers'], what: 'the containers of a build', why: 'a step is no container that is listed or named; nothing is told about one' },
  { where: ['builds/what fails/run/lines', 'cli/build/steps/failing RUN/stdout'], what: 'what steps write to stderr', why: 'without codes for colours' },
  { where: ['builds/what fails/run/error', 'builds/what fails/run/errorDetail/message', 'cli/build/steps/failing RUN/stderr', 'cli/build/steps/bad Dockerfile/stderr', 'cli/build/steps/no such stage/stderr'], what: 'errors of builds', why: 'own words, with file, line, column and the line itself' },
  { where: ['builds/what fails/none/statusCode', 'builds/what fails/tag/statusCode'], what: 'a build without its Dockerfile, or with a name that no image can have', why: '400, where 20.10 answers 500' },
  { where: ['cli/build/steps/target/stdout', 'builds/answer, config, history/whole/lines'], what: 'labels and `--cache-from` of `docker build`', why: 'labels of the command are no steps of their own; a line says that the other is not needed' },
  { where: ['builds/*/*/Config/Image', 'builds/*/*/Config/ArgsEscaped', 'builds/*/*/Comment', 'builds/*/*History'], what: 'config and history of built images', why: 'as BuildKit writes them: no parent images, steps as they stand in the Dockerfile, none for labels of the command' },
  { where: ['cli/save, load, export and import/steps/9 *'], what: 'loading what is no archive', why: 'own words' },
];

/** What depends on the machine rather than on the daemon: not compared. */
export const machineDependent: readonly Explanation[] = [
  { where: ['streams/stats/*/memory_stats/stats'], what: 'counters of memory', why: 'all that the kernel has; dockerd 20.10 tells fewer' },
];
