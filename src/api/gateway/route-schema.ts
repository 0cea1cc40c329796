import { schema } from '../gantry/schema.ts';
import { atMost, conditions, hostname, keyedBy, port, preciseHostname, ruled } from './schema-parts.ts';

const { count, list, object, oneOf, text } = schema;

const headerName = text('Name of the header.', { pattern: "^[A-Za-z0-9!#$%&'*+\\-.^_|~]+$", maxLength: 256 });
/** No control characters: what is written here becomes a line of the proxy's configuration. */
const value = text('Its value.', { pattern: '^[\\x20-\\x7e]+$', maxLength: 4096 });
const header = object('One header.', { name: headerName, value }, ['name', 'value']);
const newPath = { pattern: '^[\\x21\\x22\\x24-\\x3e\\x40-\\x7e]*$', maxLength: 1024 };

const parent = object(
  'A Gateway, or one listener of it.',
  { group: text('Group.', { default: 'gateway.networking.k8s.io' }), kind: text('Kind.', { default: 'Gateway' }), namespace: text('Namespace. Default: the same.'), name: text('Name.'), sectionName: text('Name of a listener.'), port },
  ['name'],
);

const path = ruled(
  object('The new path.', { type: oneOf('What is replaced.', ['ReplaceFullPath', 'ReplacePrefixMatch']), replaceFullPath: text('The whole path.', newPath), replacePrefixMatch: text('What stands for the prefix that matched.', newPath) }, ['type']),
  ["self.type == 'ReplaceFullPath' ? has(self.replaceFullPath) && !has(self.replacePrefixMatch) : has(self.replacePrefixMatch) && !has(self.replaceFullPath)", 'replaceFullPath goes with type ReplaceFullPath, replacePrefixMatch with ReplacePrefixMatch'],
);

const headers = object('Changes of headers.', {
  set: atMost(16, keyedBy(['name'], list('Set, or replaced.', header))),
  add: atMost(16, keyedBy(['name'], list('Added.', header))),
  remove: atMost(16, list('Removed.', headerName)),
});

const filterFields = { RequestHeaderModifier: 'requestHeaderModifier', ResponseHeaderModifier: 'responseHeaderModifier', URLRewrite: 'urlRewrite', RequestRedirect: 'requestRedirect' };
const filter = ruled(
  object(
    'One change.',
    {
      type: oneOf('Kind of change.', Object.keys(filterFields)),
      requestHeaderModifier: headers,
      responseHeaderModifier: headers,
      urlRewrite: object('A rewrite.', { hostname: text('New host.', preciseHostname), path }),
      requestRedirect: object('A redirect.', { scheme: oneOf('Scheme.', ['http', 'https']), hostname: text('Host.', preciseHostname), port, statusCode: { type: 'integer', format: 'int64', enum: [301, 302, 303, 307, 308], default: 302, description: 'Status.' }, path }),
    },
    ['type'],
  ),
  ...Object.entries(filterFields).map(([type, field]) => [`has(self.${field}) == (self.type == '${type}')`, `${field} is given exactly when the type is ${type}`] as const),
);

const duration = text('A duration, for example 10s.', { pattern: '^([0-9]{1,5}(h|m|s|ms)){1,4}$', maxLength: 32 });

const valueMatch = (what: string) => object(what, { type: { ...oneOf('How it is compared. A regular expression matches the whole value.', ['Exact', 'RegularExpression']), default: 'Exact' }, name: headerName, value: { ...value, maxLength: 1024 } }, ['name', 'value']);

const match = object('What a request has to be.', {
  path: {
    ...ruled(
      object('The path.', { type: { ...oneOf('How it is compared. A regular expression matches the whole path.', ['Exact', 'PathPrefix', 'RegularExpression']), default: 'PathPrefix' }, value: text('The path.', { default: '/', pattern: '^[\\x21-\\x7e]+$', maxLength: 1024 }) }),
      ["self.type == 'RegularExpression' || self.value.startsWith('/')", 'the path has to be absolute'],
      ["self.type == 'RegularExpression' || !(self.value.contains('//') || self.value.contains('/./') || self.value.contains('/../') || self.value.contains('#') || self.value.endsWith('/.') || self.value.endsWith('/..'))", "the path must not contain '//', '/./', '/../' or '#'"],
    ),
    default: { type: 'PathPrefix', value: '/' },
  },
  headers: atMost(16, keyedBy(['name'], list('Headers it has to have.', valueMatch('One header.')))),
  queryParams: atMost(16, keyedBy(['name'], list('Parameters its query has to have.', valueMatch('One parameter.')))),
  method: oneOf('Its method.', ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']),
});

const backend = ruled(
  object('A Service.', { group: text('Group.', { default: '', maxLength: 253 }), kind: text('Kind.', { default: 'Service', maxLength: 63 }), name: text('Name.'), namespace: text('Namespace. Default: the same.'), port, weight: { ...count('Its share.'), default: 1, maximum: 1_000_000, format: 'int32' } }, ['name']),
  ["self.group != '' || self.kind != 'Service' || has(self.port)", 'a Service needs a port'],
);

const onlyPrefixMatches = "(has(self.matches) && self.matches.size() == 1 && self.matches.all(m, !has(m.path) || m.path.type == 'PathPrefix'))";
const rule = ruled(
  object('One rule.', {
    name: text('Name.'),
    matches: { ...atMost(16, list('Alternatives.', match)), default: [{ path: { type: 'PathPrefix', value: '/' } }] },
    filters: atMost(16, list('Changes.', filter)),
    backendRefs: atMost(16, list('Where requests go.', backend)),
    timeouts: ruled(object('Limits.', { request: duration, backendRequest: duration }), ["!has(self.request) || !has(self.backendRequest) || duration(self.request) == duration('0s') || duration(self.backendRequest) <= duration(self.request)", 'backendRequest cannot be longer than request']),
  }),
  ...Object.keys(filterFields).map((type) => [`!has(self.filters) || self.filters.filter(f, f.type == '${type}').size() <= 1`, `a rule has one filter of type ${type} at most`] as const),
  ["!has(self.filters) || !(self.filters.exists(f, f.type == 'RequestRedirect') && self.filters.exists(f, f.type == 'URLRewrite'))", 'a rule cannot redirect and rewrite'],
  ["!has(self.filters) || !self.filters.exists(f, f.type == 'RequestRedirect') || !has(self.backendRefs) || self.backendRefs.size() == 0", 'a rule that redirects has no backendRefs'],
  [`!has(self.filters) || !self.filters.exists(f, has(f.urlRewrite) && has(f.urlRewrite.path) && f.urlRewrite.path.type == 'ReplacePrefixMatch') || ${onlyPrefixMatches}`, 'ReplacePrefixMatch needs exactly one match, by PathPrefix'],
  [`!has(self.filters) || !self.filters.exists(f, has(f.requestRedirect) && has(f.requestRedirect.path) && f.requestRedirect.path.type == 'ReplacePrefixMatch') || ${onlyPrefixMatches}`, 'ReplacePrefixMatch needs exactly one match, by PathPrefix'],
);

/** What an HTTPRoute can ask for. */
export const routeSpec = object('What is wanted.', {
  parentRefs: atMost(32, list('Gateways.', parent)),
  hostnames: atMost(16, list('Hosts.', text('Host.', hostname))),
  rules: { ...atMost(16, list('Rules.', rule)), minItems: 1, default: [{ matches: [{ path: { type: 'PathPrefix', value: '/' } }] }] },
});

/** What it is told. */
export const routeStatus = object('What is.', { parents: list('What its Gateways say.', object('One Gateway.', { parentRef: parent, controllerName: text('Who says it.'), conditions }, ['parentRef', 'controllerName'])) });
