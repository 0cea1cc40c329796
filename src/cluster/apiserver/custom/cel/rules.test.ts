import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ApiCaller, apiCaller, at, patchHeaders } from '../../testing/api-caller.ts';
import { openTestApiServer } from '../../testing/test-api-server.ts';

const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const widgets = '/apis/example.com/v1/namespaces/default/widgets';

interface Rule { readonly rule: string; readonly [field: string]: unknown }

function definition(spec: object, rules: readonly Rule[] = []): object {
  const openAPIV3Schema = { type: 'object', ...(rules.length === 0 ? {} : { 'x-kubernetes-validations': rules }), properties: { spec: { type: 'object', ...spec }, status: { type: 'object', properties: { ready: { type: 'integer' } } } } };
  const versions = [{ name: 'v1', served: true, storage: true, subresources: { status: {} }, schema: { openAPIV3Schema } }];
  return { metadata: { name: 'widgets.example.com' }, spec: { group: 'example.com', scope: 'Namespaced', names: { plural: 'widgets', kind: 'Widget' }, versions } };
}

function check(title: string, run: (call: ApiCaller) => Promise<void>): void {
  test(`CEL rules ${title}`, async () => {
    await using server = await openTestApiServer();
    await run(apiCaller(server));
  });
}

const message = (answer: { body: Record<string, unknown> }): string => String(answer.body['message']);
const all = {
  replicas: { type: 'integer' },
  min: { type: 'integer' },
  ratio: { type: 'number' },
  name: { type: 'string', maxLength: 100 },
  names: { type: 'array', maxItems: 20, items: { type: 'string', maxLength: 50 } },
  labels: { type: 'object', maxProperties: 20, additionalProperties: { type: 'string', maxLength: 50 } },
  ports: { type: 'array', maxItems: 20, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'], items: { type: 'object', required: ['name'], properties: { name: { type: 'string', maxLength: 20 }, port: { type: 'integer' } } } },
  port: { 'x-kubernetes-int-or-string': true },
  when: { type: 'string', format: 'date-time' },
  wait: { type: 'string', format: 'duration' },
  data: { type: 'string', format: 'byte' },
  'with-dash': { type: 'string', maxLength: 20 },
  namespace: { type: 'string', maxLength: 20 },
  maybe: { type: 'string', nullable: true, maxLength: 20 },
  inner: { type: 'object', properties: { a: { type: 'integer' }, b: { type: 'string', maxLength: 20 } } },
};

const values = {
  ...{ replicas: 3, min: 1, ratio: 0.5, name: 'web-1', names: ['a', 'b', 'a'], labels: { app: 'x', tier: 'y' }, port: 80, when: '2026-01-02T03:04:05Z', wait: '90s', data: 'aGk=' },
  ...{ ports: [{ name: 'http', port: 80 }, { name: 'https', port: 443 }], 'with-dash': 'd', namespace: 'n', maybe: null, inner: { a: 1, b: 'x' } },
};

/** Expressions over `self`, which is the spec above, and what they give. */
const expressions: readonly (readonly [rule: string, holds: boolean])[] = [
  ['self.replicas >= self.min', true],
  ['self.replicas == 3 && self.ratio < 1.0 && self.replicas > 2.5', true],
  ['has(self.name) && !has(self.labels.nothing)', true],
  ["self.name.matches('^web-[0-9]+$') && self.name.startsWith('web') && self.name.size() == 5", true],
  ["self.name.find('[0-9]+') == '1' && self.name.findAll('[a-z]') == ['w', 'e', 'b']", true],
  ["self.name.replace('web', 'x') == 'x-1' && self.name.upperAscii() == 'WEB-1' && self.name.charAt(0) == 'w'", true],
  ["self.name.split('-') == ['web', '1'] && ['a', 'b'].join('/') == 'a/b' && self.name.substring(4) == '1'", true],
  ["self.names.all(n, n.size() == 1) && self.names.exists(n, n == 'b') && self.names.exists_one(n, n == 'b')", true],
  ["self.names.map(n, n + '!').filter(n, n == 'a!').size() == 2", true],
  ["self.names.isSorted()", false],
  ["self.names.min() == 'a' && self.names.max() == 'b' && self.names.indexOf('a') == 0 && self.names.lastIndexOf('a') == 2", true],
  ['[1, 2, 3].sum() == 6 && [1.5, 2.0].sum() == 3.5 && [3, 1].max() == 3', true],
  ["self.labels.all(k, k.size() < 5) && 'app' in self.labels && self.labels['app'] == 'x' && self.labels.app == 'x'", true],
  ["self.ports.all(p, p.port > 0) && self.ports.exists(p, p.name == 'http' && p.port == 80)", true],
  ["self.ports == self.ports.filter(p, p.port > 80)", false],
  ['type(self.port) == int ? self.port > 1 : true', true],
  ["self.when < timestamp('2027-01-01T00:00:00Z') && self.when.getFullYear() == 2026 && self.wait > duration('1m')", true],
  ["self.data == b'hi' && self.data.size() == 2", true],
  ["self.with__dash__dash == 'd' && self.__namespace__ == 'n'", true],
  ['self.maybe == null', true],
  ["self.inner == self.inner && self.inner != self.inner", false],
  ["self.inner.?a.orValue(0) == 1 && self.?inner.b.hasValue()", true],
  ["quantity('1.5Gi').isGreaterThan(quantity('1Gi')) && quantity('200k').compareTo(quantity('0.2M')) == 0 && isQuantity('1.3Gi') && !isQuantity('x')", true],
  ["quantity('50k').add('20k' == '' ? quantity('1') : quantity('20k')).sub(1).asInteger() == 69999 && quantity('-5').sign() == -1 && !quantity('50m').isInteger()", true],
  ["isURL('https://a:80/x?y=1') && url('https://example.com:80/a?k=v').getHost() == 'example.com:80' && url('/path').getScheme() == '' && !isURL('../x')", true],
  ["url('https://x/?k=1&k=2').getQuery()['k'] == ['1', '2'] && url('https://[::1]:80/').getHostname() == '::1' && url('https://[::1]:80/').getPort() == '80'", true],
  ["isIP('::1') && ip('127.0.0.1').isLoopback() && ip('10.0.0.1').family() == 4 && !isIP('1.2.3') && ip('::1') == ip('0:0:0:0:0:0:0:1')", true],
  ["ip.isCanonical('::1') && !ip.isCanonical('0:0:0:0:0:0:0:1')", true],
  ["cidr('192.168.0.0/24').containsIP('192.168.0.9') && !cidr('192.168.0.0/24').containsIP(ip('192.168.1.9')) && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", true],
  ["string(cidr('10.1.2.3/8').masked()) == '10.0.0.0/8' && cidr('fd00::/8').prefixLength() == 8 && !isCIDR('1.2.3.4')", true],
  ["sets.contains([1, 2], [2]) && sets.equivalent(['a', 'b'], ['b', 'a']) && !sets.intersects([1], [2])", true],
  ["!format.dns1123Label().validate('ok').hasValue() && format.dns1123Label().validate('Not_ok').hasValue()", true],
  ["cel.bind(n, self.replicas, n * n == 9)", true],
  ["isSemver('1.2.3-rc.1+b') && !isSemver('v1.2') && isSemver('v01.2', true) && semver('v1', true) == semver('1.0.0')", true],
  ["semver('1.10.0').isGreaterThan(semver('1.9.9')) && semver('1.0.0-rc.2').isLessThan(semver('1.0.0-rc.10')) && semver('1.0.0-rc').isLessThan(semver('1.0.0'))", true],
  ["semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3 && semver('1.2.3+a').compareTo(semver('1.2.3+b')) == 0", true],
  ["semver('1.0.0-1').isLessThan(semver('1.0.0-a')) && semver('1.0.0-a').isLessThan(semver('1.0.0-a.1')) && !isSemver('1.0.0-01')", true],
  ["format.named('dns1123Label').value().validate('a').hasValue() == false && !format.named('nothing').hasValue()", true],
  ["'%s has %d of %.2f, %x and %%'.format([self.name, self.replicas, self.ratio, 255]) == 'web-1 has 3 of 0.50, ff and %'", true],
  ["'%s'.format([self.names]) == '[a, b, a]' && '%b %o %X'.format([true, 8, 'a']) == '1 10 61'", true],
  ["self.replicas in [1, 2, 3] ? 'x' == 'x' : false", true],
];

check('know the types of a schema and the functions Kubernetes adds', async (call) => {
  const rules = expressions.map(([rule], index) => ({ rule, message: `rule ${index}` }));
  const made = await call('POST', definitions, definition({ properties: all, 'x-kubernetes-validations': rules }));
  assert.equal(made.code, 201, message(made));
  const answer = await call('POST', widgets, { metadata: { name: 'a' }, spec: values });
  const failed = ((at(answer.body, 'details.causes') ?? []) as { message: string }[]).map((cause) => cause.message.replace('Invalid value: "object": ', ''));
  assert.deepEqual(failed, expressions.flatMap(([, holds], index) => (holds ? [] : [`rule ${index}`])));
});

check('tell what failed in the words of Kubernetes', async (call) => {
  const rules = [
    { rule: 'self.replicas <= 5' },
    { rule: 'self.replicas != 7', message: 'seven is taken' },
    { rule: 'self.replicas != 8', messageExpression: "'not ' + string(self.replicas)", fieldPath: '.replicas', reason: 'FieldValueForbidden' },
    { rule: 'self.replicas != 9', message: 'fixed', messageExpression: 'self.names[5]', reason: 'FieldValueRequired' },
    { rule: "self.labels['none'] == 'x' || self.replicas > 0", message: 'never needed' },
    { rule: "self.replicas != 1 || self.labels['none'] == 'x'" },
  ];
  assert.equal((await call('POST', definitions, definition({ properties: all, 'x-kubernetes-validations': rules }))).code, 201);
  const post = async (replicas: number): Promise<string> => message(await call('POST', widgets, { metadata: { name: 'a' }, spec: { ...values, replicas } }));
  assert.equal(await post(6), 'Widget.example.com "a" is invalid: spec: Invalid value: "object": failed rule: self.replicas <= 5');
  assert.equal(await post(7), 'Widget.example.com "a" is invalid: [spec: Invalid value: "object": failed rule: self.replicas <= 5, spec: Invalid value: "object": seven is taken]');
  assert.match(await post(8), /spec\.replicas: Forbidden: not 8\]$/);
  assert.match(await post(9), /spec: Required value: fixed\]$/);
  assert.match(await post(1), /spec: Invalid value: "object": no such key: none evaluating rule: self\.replicas != 1/);
});

check('and patterns cannot be made to run for ever', async (call) => {
  const made = await call('POST', definitions, definition({ properties: { a: { type: 'string', maxLength: 100, pattern: '^(a+)+$' }, b: { type: 'string', maxLength: 100 } }, 'x-kubernetes-validations': [{ rule: "!has(self.b) || self.b.matches('^(b+)+$')" }] }));
  assert.equal(made.code, 201, message(made));
  for (const field of ['a', 'b']) assert.equal((await call('POST', widgets, { metadata: { name: 'x' }, spec: { [field]: `${field.repeat(60)}!` } })).code, 422);
});

check('compare with what was before on updates', async (call) => {
  const spec = {
    properties: {
      size: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self >= oldSelf', message: 'may only grow' }] },
      class: { type: 'string', maxLength: 10, 'x-kubernetes-validations': [{ rule: 'oldSelf.hasValue() ? self == oldSelf.value() : self != "bad"', optionalOldSelf: true, message: 'fixed' }] },
      ports: { ...all.ports, items: { ...all.ports.items, 'x-kubernetes-validations': [{ rule: 'self.port == oldSelf.port', message: 'ports stay' }] } },
    },
  };
  const root = [{ rule: "self.metadata.name.startsWith('w')", message: 'name' }, { rule: '!has(oldSelf.status) || !has(self.status) || self.status.ready >= oldSelf.status.ready', message: 'ready grows' }];
  const made = await call('POST', definitions, definition(spec, root));
  assert.equal(made.code, 201, message(made));
  assert.match(message(await call('POST', widgets, { metadata: { name: 'x' }, spec: {} })), /<nil>: Invalid value|"x" is invalid: Invalid value: "object": name/);
  assert.match(message(await call('POST', widgets, { metadata: { name: 'w' }, spec: { class: 'bad' } })), /spec\.class: Invalid value: "string": fixed/);
  assert.equal((await call('POST', widgets, { metadata: { name: 'w' }, spec: { size: 2, class: 'a', ports: [{ name: 'x', port: 1 }] } })).code, 201);
  const patch = (body: object): ReturnType<ApiCaller> => call('PATCH', `${widgets}/w`, body, patchHeaders.merge);
  assert.match(message(await patch({ spec: { size: 1 } })), /spec\.size: Invalid value: "integer": may only grow/);
  assert.match(message(await patch({ spec: { class: 'b' } })), /spec\.class: Invalid value: "string": fixed/);
  assert.match(message(await patch({ spec: { ports: [{ name: 'y', port: 5 }, { name: 'x', port: 2 }] } })), /spec\.ports\[1\]: Invalid value: "object": ports stay/);
  assert.equal((await patch({ spec: { size: 3, ports: [{ name: 'y', port: 5 }, { name: 'x', port: 1 }] } })).code, 200);
  const status = (ready: number): ReturnType<ApiCaller> => call('PATCH', `${widgets}/w/status`, { status: { ready } }, patchHeaders.merge);
  assert.equal((await status(2)).code, 200);
  assert.match(message(await status(1)), /ready grows/);
});

check('are refused with the definition when they are wrong or could cost too much', async (call) => {
  const list = (items: object, more: object = {}): object => ({ type: 'array', items, ...more });
  const table: [spec: object, expected: RegExp][] = [
    [{ properties: all, 'x-kubernetes-validations': [{ rule: 'self.replica > 1' }] }, /properties\[spec\]\.x-kubernetes-validations\[0\]\.rule: Invalid value: .*compilation failed: ERROR: .*replica/],
    [{ properties: all, 'x-kubernetes-validations': [{ rule: 'self.replicas + ' }] }, /compilation failed: ERROR/],
    [{ properties: all, 'x-kubernetes-validations': [{ rule: 'self.replicas' }] }, /cel expression must evaluate to a bool/],
    [{ properties: all, 'x-kubernetes-validations': [{ rule: 'self.name == self.replicas' }] }, /compilation failed: ERROR: no such overload: string == int/],
    [{ properties: all, 'x-kubernetes-validations': [{ rule: '' }] }, /rule: Required value: rule is not specified/],
    [{ properties: all, 'x-kubernetes-validations': [{ rule: 'true', messageExpression: '1' }] }, /messageExpression must evaluate to a string/],
    [{ properties: all, 'x-kubernetes-validations': [{ rule: 'true', message: 'a\nb' }] }, /message must not contain line breaks/],
    [{ properties: all, 'x-kubernetes-validations': [{ rule: 'true', reason: 'Because' }] }, /reason: Unsupported value: "Because"/],
    [{ properties: all, 'x-kubernetes-validations': [{ rule: 'true', fieldPath: '.nothing' }] }, /fieldPath must be a valid path: does not refer to a valid field/],
    [{ properties: { a: list({ type: 'string', 'x-kubernetes-validations': [{ rule: 'self == oldSelf' }] }) } }, /oldSelf cannot be used on the uncorrelatable portion of the schema/],
    [{ properties: { a: list({ type: 'string' }) }, 'x-kubernetes-validations': [{ rule: 'self.a.all(x, self.a.all(y, x == y))' }] }, /estimated rule cost exceeds budget by factor of more than 100x/],
    [{ properties: { a: { type: 'string', oneOf: [{ 'x-kubernetes-validations': [{ rule: 'true' }] }] } } }, /oneOf\[0\]\.x-kubernetes-validations: Forbidden: must be empty to be structural/],
  ];
  for (const [spec, expected] of table) {
    const answer = await call('POST', definitions, definition(spec));
    assert.deepEqual([answer.code, expected.test(message(answer))], [422, true], message(answer));
  }
  assert.equal((await call('POST', definitions, definition({ properties: { a: list({ type: 'string', maxLength: 10 }, { maxItems: 100 }) }, 'x-kubernetes-validations': [{ rule: 'self.a.all(x, self.a.all(y, x == y))' }] }))).code, 201);
});

check('are not run when they would cost too much on this object', async (call) => {
  const items = { type: 'array', maxItems: 1000, items: { type: 'string', maxLength: 10 } };
  const rule = 'self.a.all(x, self.a.all(y, x != y + "z"))';
  const made = await call('POST', definitions, definition({ properties: { a: items, b: { type: 'integer' } }, 'x-kubernetes-validations': [{ rule, message: 'pairs' }, { rule: '!has(self.b) || self.b > 0' }] }));
  assert.equal(made.code, 201, message(made));
  const post = (name: string, length: number): ReturnType<ApiCaller> => call('POST', widgets, { metadata: { name }, spec: { a: Array.from({ length }, (_, index) => `n${index}`), b: 0 } });
  assert.match(message(await post('few', 100)), /spec: Invalid value: "object": failed rule: !has/);
  assert.equal(message(await post('many', 1000)), `Widget.example.com "many" is invalid: spec: Invalid value: "object": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: pairs`);
});

check('know authorizers and other variables as little as Kubernetes does', async (call) => {
  const answer = await call('POST', definitions, definition({ properties: all, 'x-kubernetes-validations': [{ rule: "authorizer.path('/healthz').check('get').allowed()" }] }));
  assert.deepEqual([answer.code, /compilation failed: ERROR: .*authorizer/.test(message(answer))], [422, true], message(answer));
});

check('and schemas that became stricter hold up only what a write changes', async (call) => {
  const loose = { properties: { name: { type: 'string', maxLength: 10 }, size: { type: 'integer' }, list: { type: 'array', maxItems: 5, items: { type: 'integer' } } } };
  assert.equal((await call('POST', definitions, definition(loose))).code, 201);
  assert.equal((await call('POST', widgets, { metadata: { name: 'w' }, spec: { name: 'LOUD', size: 9, list: [9] } })).code, 201);
  const strict = { properties: { name: { type: 'string', maxLength: 10, pattern: '^[a-z]+$' }, size: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self < 5', message: 'too big' }] }, list: { type: 'array', maxItems: 5, items: { type: 'integer', maximum: 5 } } } };
  const patched = await call('PATCH', `${definitions}/widgets.example.com`, { spec: (definition(strict) as { spec: object }).spec }, patchHeaders.merge);
  assert.equal(patched.code, 200, message(patched));
  let writes = 0;
  const patch = (spec: object): ReturnType<ApiCaller> => call('PATCH', `${widgets}/w`, { metadata: { labels: { write: String((writes += 1)) } }, spec }, patchHeaders.merge);
  const kept = await patch({});
  assert.deepEqual([kept.code, kept.headers.get('warning')], [200, '299 - "spec.size: Invalid value: \\"integer\\": too big"']);
  assert.match(message(await patch({ name: 'LOUDER' })), /spec\.name in body should match/);
  assert.match(message(await patch({ size: 8 })), /spec\.size: Invalid value: "integer": too big/);
  assert.match(message(await patch({ list: [9, 8] })), /spec\.list\[0\] in body should be less than or equal to 5, .*spec\.list\[1\]/);
  assert.equal((await patch({ name: 'quiet', size: 4, list: [1] })).code, 200);
});
