import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMetricsText } from './metrics-text.ts';

test('parseMetricsText() reads samples with the types of their families', () => {
  const text = `# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{code="200",path="/a\\"b\\\\c\\n"} 10 1700000000000
http_requests_total{ code = "500" , } 2
# TYPE queue gauge
queue 3.5e2
plain{} +Inf
# TYPE took histogram
took_bucket{le="1"} 4
took_sum 1.5
broken{a=b} 1
no value
bad x
`;
  assert.deepEqual(parseMetricsText(text, 100), [
    { name: 'http_requests_total', type: 'counter', labels: { code: '200', path: '/a"b\\c\n' }, value: 10 },
    { name: 'http_requests_total', type: 'counter', labels: { code: '500' }, value: 2 },
    { name: 'queue', type: 'gauge', labels: {}, value: 350 },
    { name: 'plain', type: 'untyped', labels: {}, value: Infinity },
    { name: 'took_bucket', type: 'counter', labels: { le: '1' }, value: 4 },
    { name: 'took_sum', type: 'counter', labels: {}, value: 1.5 },
  ]);
  assert.equal(parseMetricsText(text, 2).length, 2);
});
