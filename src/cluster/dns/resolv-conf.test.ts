import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseResolvConf } from './resolv-conf.ts';

test('parseResolvConf() reads servers, the last search line and options', () => {
  const text = '# made by hand\nnameserver 192.0.2.53\nnameserver\t2001:db8::53 ; second\ndomain one.example\nsearch a.example b.example\noptions ndots:2 rotate\nsortlist ignored\n';
  assert.deepEqual(parseResolvConf(text), { servers: ['192.0.2.53', '2001:db8::53'], searches: ['a.example', 'b.example'], options: ['ndots:2', 'rotate'] });
});
