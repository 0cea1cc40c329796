import { randomInt } from 'node:crypto';

const left = 'amber bold brisk calm clear deep fair fleet free glad grand keen lucky lofty mellow merry neat noble open plain proud quick quiet rapid ready round sharp silent smart snug solid steady still stout sunny swift tidy true vivid warm wise'.split(' ');
const right = 'anchor barge basin beacon berth boom bow buoy cable canal cargo chart cleat coast crane creek crew cutter davit deck dock ferry fjord float gangway grapple gulf harbor hatch haven helm hoist hold hull inlet jetty keel knot lagoon lock mast mooring oar pier pilot port quay raft reef rigging rudder sail sextant shoal sloop spar tackle tide tiller tug wharf winch'.split(' ');

/** A name for a container that was given none: two words, and digits after the first tries. */
export function generateContainerName(isTaken: (name: string) => boolean): string {
  for (let tries = 0; ; tries += 1) {
    const name = `${left[randomInt(left.length)] ?? ''}_${right[randomInt(right.length)] ?? ''}${tries < 5 ? '' : randomInt(10 ** Math.min(tries, 9))}`;
    if (!isTaken(name)) return name;
  }
}
