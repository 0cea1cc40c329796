import { schema } from '../gantry/schema.ts';
import type { CustomResourceColumnDefinition, CustomResourceDefinition, JSONSchemaProps } from '../kubernetes/types.gen.ts';
import { routeSpec, routeStatus } from './route-schema.ts';
import { atMost, conditions, hostname, keyedBy, port, ruled } from './schema-parts.ts';

const { count, list, object, oneOf, text } = schema;

const routeKind = object('One kind.', { group: text('Group.', { default: 'gateway.networking.k8s.io' }), kind: text('Kind.') }, ['kind']);
const selector = object('Labels of the namespaces.', {
  matchLabels: schema.map('Labels they have.'),
  matchExpressions: list('What their labels are like.', object('One label.', { key: text('Key.'), operator: oneOf('How it is compared.', ['In', 'NotIn', 'Exists', 'DoesNotExist']), values: list('Values.', text('One value.')) }, ['key', 'operator'])),
});
const secret = object('A Secret.', { group: text('Group.', { default: '' }), kind: text('Kind.', { default: 'Secret' }), name: text('Name.'), namespace: text('Namespace. Another one needs a ReferenceGrant.') }, ['name']);

const listener = ruled(
  object(
    'One port.',
    {
      name: text('Name.', { maxLength: 253 }),
      hostname: text('Hosts it is for.', hostname),
      port,
      protocol: oneOf('Protocol.', ['HTTP', 'HTTPS']),
      tls: object('TLS.', { mode: { ...oneOf('Where it ends.', ['Terminate']), default: 'Terminate' }, certificateRefs: atMost(64, list('Secrets.', secret)) }),
      allowedRoutes: {
        ...object('Which routes may attach.', {
          namespaces: { ...object('From where.', { from: { ...oneOf('From where.', ['All', 'Selector', 'Same']), default: 'Same' }, selector }), default: { from: 'Same' } },
          kinds: atMost(8, list('Of which kinds. Default: those of the protocol.', routeKind)),
        }),
        default: { namespaces: { from: 'Same' } },
      },
    },
    ['name', 'port', 'protocol'],
  ),
  ["self.protocol == 'HTTPS' || !has(self.tls)", 'tls is for protocol HTTPS only'],
  ["self.protocol != 'HTTPS' || (has(self.tls) && has(self.tls.certificateRefs) && self.tls.certificateRefs.size() > 0)", 'protocol HTTPS needs tls.certificateRefs'],
);

const listeners = ruled(
  { ...keyedBy(['name'], atMost(64, list('Its ports.', listener))), minItems: 1 },
  ['self.all(a, self.exists_one(b, a.port == b.port && a.protocol == b.protocol && (has(a.hostname) ? has(b.hostname) && a.hostname == b.hostname : !has(b.hostname))))', 'port, protocol and hostname together have to be unique for each listener'],
);

const grantSpec = object(
  'What is granted.',
  {
    from: { ...atMost(16, list('Who may refer.', object('Objects of one kind and namespace.', { group: text('Group.'), kind: text('Kind.'), namespace: text('Namespace.') }, ['group', 'kind', 'namespace']))), minItems: 1 },
    to: { ...atMost(16, list('To what.', object('Objects of one kind in this namespace.', { group: text('Group.'), kind: text('Kind.'), name: text('Name. Default: every one.') }, ['group', 'kind']))), minItems: 1 },
  },
  ['from', 'to'],
);

const both = ['v1', 'v1beta1'];

/** The Gateway API as far as it works here; fields that do not are not in the schema, so they are reported as unknown. */
export const gatewayDefinitions: readonly CustomResourceDefinition[] = [
  definition('GatewayClass', 'gatewayclasses', ['gc'], 'Cluster', both, object('What is wanted.', { controllerName: text('Who serves it.'), description: text('For people.') }, ['controllerName']), object('What is.', { conditions }), [
    { name: 'Controller', type: 'string', jsonPath: '.spec.controllerName' },
    { name: 'Accepted', type: 'string', jsonPath: '.status.conditions[?(@.type=="Accepted")].status' },
  ]),
  definition(
    'Gateway',
    'gateways',
    ['gtw'],
    'Namespaced',
    both,
    object('What is wanted.', { gatewayClassName: text('Its class.'), listeners }, ['gatewayClassName', 'listeners']),
    object('What is.', {
      conditions,
      addresses: list('Where it is reached.', object('One address.', { type: text('Type.'), value: text('Address.') }, ['value'])),
      listeners: list('Its listeners.', object('One listener.', { name: text('Name.'), attachedRoutes: count('How many routes it has.'), supportedKinds: list('Kinds of routes.', routeKind), conditions }, ['name', 'attachedRoutes'])),
    }),
    [
      { name: 'Class', type: 'string', jsonPath: '.spec.gatewayClassName' },
      { name: 'Address', type: 'string', jsonPath: '.status.addresses[*].value' },
      { name: 'Programmed', type: 'string', jsonPath: '.status.conditions[?(@.type=="Programmed")].status' },
    ],
  ),
  definition('HTTPRoute', 'httproutes', [], 'Namespaced', both, routeSpec, routeStatus, [{ name: 'Hostnames', type: 'string', jsonPath: '.spec.hostnames' }]),
  definition('ReferenceGrant', 'referencegrants', ['refgrant'], 'Namespaced', ['v1beta1'], grantSpec, undefined, []),
];

/** The first version is the one that is stored; the others have the same fields. */
function definition(kind: string, plural: string, shortNames: string[], scope: string, versions: readonly string[], spec: JSONSchemaProps, status: JSONSchemaProps | undefined, columns: CustomResourceColumnDefinition[]): CustomResourceDefinition {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.gateway.networking.k8s.io`, annotations: { 'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/gateway-api' } },
    spec: {
      group: 'gateway.networking.k8s.io',
      scope,
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), categories: ['gateway-api'], ...(shortNames.length === 0 ? {} : { shortNames }) },
      versions: versions.map((name, index) => ({
        name,
        served: true,
        storage: index === 0,
        schema: { openAPIV3Schema: { type: 'object', description: `${kind} (Gateway API).`, properties: { spec, ...(status === undefined ? {} : { status }) }, required: ['spec'] } },
        ...(status === undefined ? {} : { subresources: { status: {} } }),
        additionalPrinterColumns: [...columns, { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' }],
      })),
    },
  };
}
