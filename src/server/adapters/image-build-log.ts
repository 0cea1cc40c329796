import { type ImageBuild, resources } from '../../api/mod.ts';
import type { ConnectSubresource } from '../../cluster/apiserver/mod.ts';
import { GantryError } from '../../kernel/mod.ts';

/** `imagebuilds/{name}/log[?follow=true]`, answered by the node that builds. */
export const imageBuildLog: ConnectSubresource = {
  group: resources.imageBuilds.group,
  plural: resources.imageBuilds.plural,
  name: 'log',
  optionsKind: 'ImageBuild',
  verbs: ['get'],
  target: (object, query) => {
    const { metadata, spec } = object as ImageBuild;
    if (spec?.nodeName === undefined) throw new GantryError('invalid', `no node has taken image build ${metadata?.name ?? ''} yet`);
    const path = ['imageBuildLogs', metadata?.namespace ?? '', metadata?.name ?? ''].map(encodeURIComponent).join('/');
    return { nodeName: spec.nodeName, path: `/${path}${query.get('follow') === 'true' ? '?follow=true' : ''}` };
  },
};
