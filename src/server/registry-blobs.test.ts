import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isError } from '../kernel/mod.ts';
import { parseCredentials } from './registry-blobs.ts';

test('parseCredentials() reads the default profile of an AWS credentials file', () => {
  const other = '[other]\naws_access_key_id = no\naws_secret_access_key = no\n';
  const key = { accessKeyId: 'AK', secretAccessKey: 's/e+c=' };
  const cases: [text: string, expected: object][] = [
    [`# comment\n${other}[default]\naws_access_key_id = AK\naws_secret_access_key=s/e+c=\n`, key],
    [`[ default ]\r\naws_access_key_id=AK\r\naws_secret_access_key = s/e+c=\r\naws_session_token = T\r\n${other}`, { ...key, sessionToken: 'T' }],
  ];
  for (const [text, expected] of cases) assert.deepEqual(parseCredentials(text, 'f'), expected);
  for (const text of ['', other, '[default]\naws_access_key_id = AK\n', 'aws_access_key_id = AK\naws_secret_access_key = secret']) {
    assert.throws(() => parseCredentials(text, 'f'), (error) => isError(error, 'invalid') && error.message.startsWith('f: ') && !error.message.includes('= secret'));
  }
});
