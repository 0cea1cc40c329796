import { schema } from '../gantry/schema.ts';
import type { CustomResourceColumnDefinition, CustomResourceDefinition, JSONSchemaProps } from '../kubernetes/types.gen.ts';

const { count, list, object, oneOf, text, time } = schema;

const hostname = { pattern: '^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$', maxLength: 253 };
const headerName = text('Name of the header.', { pattern: "^[A-Za-z0-9!#$%&'*+\\-.^_|~]+$", maxLength: 256 });
/** No control characters: what is written here becomes a line of the proxy's configuration. */
const headerValue = text('Its value.', { pattern: '^[\\x20-\\x7e]+$', maxLength: 4096 });
const header = object('One header.', { name: headerName, value: headerValue }, ['name', 'value']);
const port = { ...count('Port.'), minimum: 1, maximum: 65_535, format: 'int32' };
const conditions = list(
  'Conditions.',
  object('One condition.', { type: text('Type.'), status: oneOf('Status.', ['True', 'False', 'Unknown']), reason: text('Reason.'), message: text('For people.'), lastTransitionTime: time('When the status last changed.'), observedGeneration: count('Generation it is about.') }, ['type', 'status']),
);
const parent = object(
  'A Gateway, or one listener of it.',
  { group: text('Group.', { default: 'gateway.networking.k8s.io' }), kind: text('Kind.', { default: 'Gateway' }), namespace: text('Namespace. Default: the same.'), name: text('Name.'), sectionName: text('Name of a listener.'), port },
  ['name'],
);
const path = object('The new path.', { type: oneOf('What is replaced.', ['ReplaceFullPath', 'ReplacePrefixMatch']), replaceFullPath: text('The whole path.', { pattern: '^[\\x21-\\x7e]*$', maxLength: 1024 }), replacePrefixMatch: text('What stands for the prefix that matched.', { pattern: '^[\\x21-\\x7e]*$', maxLength: 1024 }) }, ['type']);
const headers = object('Changes of headers.', { set: list('Set, or replaced.', header), add: list('Added.', header), remove: list('Removed.', headerName) });
const filter = object(
  'One change.',
  {
    type: oneOf('Kind of change.', ['RequestHeaderModifier', 'ResponseHeaderModifier', 'URLRewrite', 'RequestRedirect']),
    requestHeaderModifier: headers,
    responseHeaderModifier: headers,
    urlRewrite: object('A rewrite.', { hostname: text('New host.', hostname), path }),
    requestRedirect: object('A redirect.', { scheme: oneOf('Scheme.', ['http', 'https']), hostname: text('Host.', hostname), port, statusCode: { type: 'integer', format: 'int64', enum: [301, 302, 303, 307, 308], default: 302, description: 'Status.' }, path }),
  },
  ['type'],
);
const duration = text('A duration, for example 10s.', { pattern: '^([0-9]{1,5}(h|m|s|ms)){1,4}$' });
const match = object('What a request has to be.', {
  path: { ...object('The path.', { type: { ...oneOf('How it is compared.', ['Exact', 'PathPrefix']), default: 'PathPrefix' }, value: text('The path.', { default: '/', pattern: '^/[\\x21-\\x7e]*$', maxLength: 1024 }) }), default: { type: 'PathPrefix', value: '/' } },
  headers: list('Headers it has to have.', object('One header.', { type: { ...oneOf('How it is compared.', ['Exact']), default: 'Exact' }, name: headerName, value: headerValue }, ['name', 'value'])),
  method: oneOf('Its method.', ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']),
});
const backend = object('A Service.', { group: text('Group.', { default: '' }), kind: text('Kind.', { default: 'Service' }), name: text('Name.'), namespace: text('Namespace. Default: the same.'), port, weight: { ...count('Its share.'), default: 1, maximum: 1_000_000, format: 'int32' } }, ['name']);
const rule = object('One rule.', {
  name: text('Name.'),
  matches: { ...list('Alternatives.', match), default: [{ path: { type: 'PathPrefix', value: '/' } }] },
  filters: list('Changes.', filter),
  backendRefs: list('Where requests go.', backend),
  timeouts: object('Limits.', { request: duration, backendRequest: duration }),
});

const listener = object(
  'One port.',
  {
    name: text('Name.'),
    hostname: text('Hosts it is for.', hostname),
    port,
    protocol: oneOf('Protocol.', ['HTTP', 'HTTPS']),
    tls: object('TLS.', { mode: { ...oneOf('Where it ends.', ['Terminate']), default: 'Terminate' }, certificateRefs: list('Secrets.', object('A Secret.', { group: text('Group.', { default: '' }), kind: text('Kind.', { default: 'Secret' }), name: text('Name.'), namespace: text('Namespace.') }, ['name'])) }),
    allowedRoutes: { ...object('Which routes may attach.', { namespaces: { ...object('From where.', { from: { ...oneOf('From where.', ['All', 'Same']), default: 'Same' } }), default: { from: 'Same' } } }), default: { namespaces: { from: 'Same' } } },
  },
  ['name', 'port', 'protocol'],
);

/** GatewayClass, Gateway and HTTPRoute as far as they work here; fields that do not are not in the schema, so they are reported as unknown. */
export const gatewayDefinitions: readonly CustomResourceDefinition[] = [
  definition('GatewayClass', 'gatewayclasses', 'gc', 'Cluster', object('What is wanted.', { controllerName: text('Who serves it.'), description: text('For people.') }, ['controllerName']), object('What is.', { conditions }), [
    { name: 'Controller', type: 'string', jsonPath: '.spec.controllerName' },
    { name: 'Accepted', type: 'string', jsonPath: '.status.conditions[?(@.type=="Accepted")].status' },
  ]),
  definition(
    'Gateway',
    'gateways',
    'gtw',
    'Namespaced',
    object('What is wanted.', { gatewayClassName: text('Its class.'), listeners: { ...list('Its ports.', listener), minItems: 1, maxItems: 64, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'] } }, ['gatewayClassName', 'listeners']),
    object('What is.', {
      conditions,
      addresses: list('Where it is reached.', object('One address.', { type: text('Type.'), value: text('Address.') }, ['value'])),
      listeners: list('Its listeners.', object('One listener.', { name: text('Name.'), attachedRoutes: count('How many routes it has.'), supportedKinds: list('Kinds of routes.', object('One kind.', { group: text('Group.'), kind: text('Kind.') }, ['kind'])), conditions }, ['name', 'attachedRoutes'])),
    }),
    [
      { name: 'Class', type: 'string', jsonPath: '.spec.gatewayClassName' },
      { name: 'Address', type: 'string', jsonPath: '.status.addresses[*].value' },
      { name: 'Programmed', type: 'string', jsonPath: '.status.conditions[?(@.type=="Programmed")].status' },
    ],
  ),
  definition(
    'HTTPRoute',
    'httproutes',
    undefined,
    'Namespaced',
    object('What is wanted.', { parentRefs: list('Gateways.', parent), hostnames: list('Hosts.', text('Host.', hostname)), rules: { ...list('Rules.', rule), default: [{ matches: [{ path: { type: 'PathPrefix', value: '/' } }] }] } }),
    object('What is.', { parents: list('What its Gateways say.', object('One Gateway.', { parentRef: parent, controllerName: text('Who says it.'), conditions }, ['parentRef', 'controllerName'])) }),
    [{ name: 'Hostnames', type: 'string', jsonPath: '.spec.hostnames' }],
  ),
];

function definition(kind: string, plural: string, shortName: string | undefined, scope: string, spec: JSONSchemaProps, status: JSONSchemaProps, columns: CustomResourceColumnDefinition[]): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.gateway.networking.k8s.io`, annotations: { 'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/gateway-api' } },
    spec: {
      group: 'gateway.networking.k8s.io',
      scope,
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), categories: ['gateway-api'], ...(shortName === undefined ? {} : { shortNames: [shortName] }) },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', description: `${kind} (Gateway API).`, properties: { spec, status }, required: ['spec'] } },
          subresources: { status: {} },
          additionalPrinterColumns: [...columns, { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
        },
      ],
    },
  };
}
