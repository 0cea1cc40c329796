/** The ports of one EXPOSE word as `port/protocol`, ranges written out; a message when it is malformed. */
export function parsePortSpec(text: string): string[] | { message: string } {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/([a-zA-Z]+))?$/.exec(text);
  if (match === null) return { message: `${JSON.stringify(text)} is no port: the form is port[-port][/tcp|udp|sctp]` };
  const protocol = (match[3] ?? 'tcp').toLowerCase();
  if (!['tcp', 'udp', 'sctp'].includes(protocol)) return { message: `unknown protocol ${JSON.stringify(match[3])} in ${JSON.stringify(text)}` };
  const first = Number(match[1]);
  const last = Number(match[2] ?? match[1]);
  if (last > 65_535 || first > last) return { message: `${JSON.stringify(text)} is out of range` };
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}
