import type { gatewayApi } from '../../api/mod.ts';
import type { Redirect, RouteFilters } from './model.ts';

/** The filters of a rule, without its redirect. */
export function filtersOf(filters: readonly gatewayApi.HTTPRouteFilter[]): RouteFilters | undefined {
  const of = (type: string): gatewayApi.HTTPRouteFilter | undefined => filters.find((filter) => filter.type === type);
  const request = of('RequestHeaderModifier')?.requestHeaderModifier;
  const response = of('ResponseHeaderModifier')?.responseHeaderModifier;
  const rewrite = of('URLRewrite')?.urlRewrite;
  if (request === undefined && response === undefined && rewrite === undefined) return undefined;
  const path = rewrite?.path === undefined ? undefined : pathOf(rewrite.path);
  return {
    ...(request?.set === undefined ? {} : { setHeaders: request.set }),
    ...(request?.add === undefined ? {} : { addHeaders: request.add }),
    ...(request?.remove === undefined ? {} : { removeHeaders: request.remove }),
    ...(response?.set === undefined ? {} : { responseSetHeaders: response.set }),
    ...(response?.add === undefined ? {} : { responseAddHeaders: response.add }),
    ...(response?.remove === undefined ? {} : { responseRemoveHeaders: response.remove }),
    ...(rewrite?.hostname === undefined ? {} : { rewriteHost: rewrite.hostname }),
    ...(path === undefined ? {} : { rewritePath: path }),
  };
}

/** The redirect of a rule, if it has one. */
export function redirectOf(filters: readonly gatewayApi.HTTPRouteFilter[]): Redirect | undefined {
  const redirect = filters.find(({ type }) => type === 'RequestRedirect')?.requestRedirect;
  if (redirect === undefined) return undefined;
  const { scheme, hostname, port, statusCode = 302, path } = redirect;
  return { code: statusCode, ...(scheme === undefined ? {} : { scheme }), ...(hostname === undefined ? {} : { host: hostname }), ...(port === undefined ? {} : { port }), ...(path === undefined ? {} : { path: pathOf(path) }) };
}

const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** A Gateway API duration in milliseconds; undefined for none and for 0, which is no limit. */
export function timeoutMs(duration: string | undefined): number | undefined {
  const total = [...(duration ?? '').matchAll(/(\d+)(h|ms|m|s)/g)].reduce((sum, [, amount, unit]) => sum + Number(amount) * (unitMs[unit ?? ''] ?? 0), 0);
  return total === 0 ? undefined : total;
}

function pathOf({ type, replaceFullPath = '/', replacePrefixMatch = '/' }: gatewayApi.PathModifier): { type: 'full' | 'prefix'; value: string } {
  return type === 'ReplaceFullPath' ? { type: 'full', value: replaceFullPath } : { type: 'prefix', value: replacePrefixMatch };
}
