import assert from 'node:assert/strict';
import { test } from 'node:test';
import { array, assert as check, constantFrom, property } from 'fast-check';
import { GantryError, isError } from '../../kernel/mod.ts';
import type { Instruction } from './instruction.ts';
import { parseDockerfile } from './parse.ts';

function instructionsOf(text: string): Instruction[] {
  return parseDockerfile(`FROM scratch\n${text}`, 'Dockerfile').stages.flatMap(({ instructions }) => [...instructions]);
}

function only(text: string): Record<string, unknown> {
  const { position: _p, lastLine: _l, text: _t, keyword: _k, comments: _c, ...rest } = instructionsOf(text)[0] as unknown as Record<string, unknown>;
  return withoutPositions(rest) as Record<string, unknown>;
}

/** Words as their texts, so that the tables below are readable; positions have a test of their own. */
function withoutPositions(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPositions);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => key !== 'position');
  if (entries.length === 1 && entries[0]?.[0] === 'text' && 'position' in value) return entries[0][1];
  return Object.fromEntries(entries.map(([key, inner]) => [key, withoutPositions(inner)]));
}

const copy = { excludes: [], inlineFiles: [], isLink: false, keepsParents: false };

const accepted: readonly (readonly [text: string, expected: object])[] = [
  ['RUN echo hi', { kind: 'RUN', command: { form: 'shell', text: 'echo hi' }, heredocs: [], mounts: [] }],
  ['run echo hi', { kind: 'RUN', command: { form: 'shell', text: 'echo hi' }, heredocs: [], mounts: [] }],
  ['RUN ["a", "b c"]', { kind: 'RUN', command: { form: 'exec', args: ['a', 'b c'] }, heredocs: [], mounts: [] }],
  ['RUN [ "x" ] && y', { kind: 'RUN', command: { form: 'shell', text: '[ "x" ] && y' }, heredocs: [], mounts: [] }],
  ['RUN a \\\n  b', { kind: 'RUN', command: { form: 'shell', text: 'a   b' }, heredocs: [], mounts: [] }],
  ['RUN a \\\n# comment\n\n  b', { kind: 'RUN', command: { form: 'shell', text: 'a   b' }, heredocs: [], mounts: [] }],
  ['RUN --network=none true', { kind: 'RUN', command: { form: 'shell', text: 'true' }, heredocs: [], mounts: [], network: 'none', networkFlag: 'none' }],
  ['RUN --mount=type=cache,target=/c true', { kind: 'RUN', command: { form: 'shell', text: 'true' }, heredocs: [], mounts: ['type=cache,target=/c'] }],
  ['CMD ["node", "x.js"]', { kind: 'CMD', command: { form: 'exec', args: ['node', 'x.js'] } }],
  ['CMD node x.js', { kind: 'CMD', command: { form: 'shell', text: 'node x.js' } }],
  ['ENTRYPOINT []', { kind: 'ENTRYPOINT', command: { form: 'exec', args: [] } }],
  ['COPY a b /c/', { kind: 'COPY', sources: ['a', 'b'], destination: '/c/', ...copy }],
  ['COPY ["a b", "/c"]', { kind: 'COPY', sources: ['a b'], destination: '/c', ...copy }],
  ['COPY --from=build --chown=1:2 --chmod=755 a /b', { kind: 'COPY', sources: ['a'], destination: '/b', ...copy, from: 'build', chown: '1:2', chmod: '755' }],
  ['COPY --link --parents --exclude=*.md --exclude=x a /b', { kind: 'COPY', sources: ['a'], destination: '/b', ...copy, isLink: true, keepsParents: true, excludes: ['*.md', 'x'] }],
  ['ADD --unpack=false a.tar /', { kind: 'ADD', sources: ['a.tar'], destination: '/', ...copy, unpacks: false }],
  ['ENV A=1 B="two words" C=a\\ b', { kind: 'ENV', pairs: [{ name: 'A', value: '1' }, { name: 'B', value: '"two words"' }, { name: 'C', value: 'a\\ b' }], isLegacyForm: false }],
  ['ENV A  one two', { kind: 'ENV', pairs: [{ name: 'A', value: 'one two' }], isLegacyForm: true }],
  ['LABEL "a.b"=c', { kind: 'LABEL', pairs: [{ name: '"a.b"', value: 'c' }], isLegacyForm: false }],
  ['ARG A B=2', { kind: 'ARG', args: [{ name: 'A' }, { name: 'B', value: '2' }] }],
  ['WORKDIR /a b', { kind: 'WORKDIR', value: '/a b' }],
  ['USER node:node', { kind: 'USER', value: 'node:node' }],
  ['EXPOSE 80 443/tcp', { kind: 'EXPOSE', values: ['80', '443/tcp'] }],
  ['VOLUME ["/a", "/b"]', { kind: 'VOLUME', values: ['/a', '/b'] }],
  ['VOLUME /a /b', { kind: 'VOLUME', values: ['/a', '/b'] }],
  ['STOPSIGNAL SIGQUIT', { kind: 'STOPSIGNAL', value: 'SIGQUIT' }],
  ['SHELL ["/bin/bash", "-c"]', { kind: 'SHELL', shell: ['/bin/bash', '-c'] }],
  ['HEALTHCHECK NONE', { kind: 'HEALTHCHECK', healthcheck: { Test: ['NONE'] } }],
  ['HEALTHCHECK --interval=1m30s --retries=3 CMD curl -f /', { kind: 'HEALTHCHECK', healthcheck: { Test: ['CMD-SHELL', 'curl -f /'], Interval: 90e9, Retries: 3 } }],
  ['HEALTHCHECK CMD ["x"]', { kind: 'HEALTHCHECK', healthcheck: { Test: ['CMD', 'x'] } }],
  ['ONBUILD RUN echo hi', { kind: 'ONBUILD', expression: 'RUN echo hi' }],
  ['MAINTAINER somebody', { kind: 'MAINTAINER', value: 'somebody' }],
];

for (const [text, expected] of accepted) {
  test(`parseDockerfile() reads ${JSON.stringify(text)}`, () => assert.deepEqual(only(text), expected));
}

const rejected: readonly (readonly [text: string, place: string])[] = [
  ['RNU x', 'Dockerfile:2:1: unknown instruction RNU (did you mean RUN?)'],
  ['  FOO x', 'Dockerfile:2:3: unknown instruction FOO'],
  ['RUN', 'Dockerfile:2:1: RUN needs a command'],
  ['RUN [1]', 'Dockerfile:2:5: the JSON form is a list of strings only'],
  ['COPY a', 'Dockerfile:2:1: COPY needs at least one source and a destination'],
  ['COPY --form=x a b', 'Dockerfile:2:6: unknown flag --form; known are --chown, --chmod, --link, --exclude, --from, --parents'],
  ['COPY \\\n   --chown a b', 'Dockerfile:3:4: the flag --chown needs a value'],
  ['COPY --link --link a b', 'Dockerfile:2:13: the flag --link stands twice'],
  ['COPY --link=maybe a b', 'Dockerfile:2:6: the flag --link is true or false, not "maybe"'],
  ['COPY --from=$X a b', 'Dockerfile:2:6: variables are not expanded in --from; name the image with a FROM … AS stage'],
  ['ENV A', 'Dockerfile:2:1: ENV needs a name and a value'],
  ['ENV A=1 B', 'Dockerfile:2:9: no = in "B": the form is name=value'],
  ['ENV =1', 'Dockerfile:2:5: ENV names cannot be empty'],
  ['ARG', 'Dockerfile:2:1: ARG needs at least one name'],
  ['WORKDIR', 'Dockerfile:2:1: WORKDIR needs exactly one argument'],
  ['EXPOSE', 'Dockerfile:2:1: EXPOSE needs at least one argument'],
  ['SHELL bash -c', 'Dockerfile:2:1: SHELL needs the JSON form, for example ["/bin/sh", "-c"]'],
  ['HEALTHCHECK FOO x', 'Dockerfile:2:1: HEALTHCHECK is followed by CMD or NONE, not "FOO"'],
  ['HEALTHCHECK --interval=x CMD true', 'Dockerfile:2:13: --interval is a duration such as 30s or 1m30s, not "x"'],
  ['ONBUILD FROM x', 'Dockerfile:2:9: FROM is not allowed as an ONBUILD trigger'],
  ['RUN --mount=bogus=1 true', 'Dockerfile:2:5: unknown mount option "bogus"; known are type, from, source, src, target, dst, destination, id, env, readonly, ro, readwrite, rw, required, sharing, size, mode, uid, gid'],
  ['RUN --security=none x', 'Dockerfile:2:5: --security is sandbox or insecure, not "none"'],
  ['RUN --network=bridge x', 'Dockerfile:2:5: --network is default, none or host, not "bridge"'],
  ['CMD --x y', 'Dockerfile:2:5: unknown flag --x; the instruction has none'],
  ['FROM a b', 'Dockerfile:2:8: FROM is an image, optionally followed by AS and a name'],
  ['FROM a AS 1x', 'Dockerfile:2:11: a stage\'s name begins with a letter and has letters, digits and -_. only, not "1x"'],
  ['RUN <<EOF\necho hi', 'Dockerfile:2:1: the here-document EOF has no end: a line with only EOF is missing'],
];

for (const [text, place] of rejected) {
  test(`parseDockerfile() refuses ${JSON.stringify(text)} with its place and the line`, () => {
    assert.throws(
      () => instructionsOf(text),
      (error) => {
        assert.ok(isError(error, 'invalid'));
        const [first] = error.message.split('\n');
        assert.equal(first, place);
        assert.match(error.message, /\n +\d+ \| .*\n +\| \s*\^/);
        return true;
      },
    );
  });
}

test('parseDockerfile() reports every problem at once, in the order of the lines', () => {
  assert.throws(
    () => parseDockerfile('FROM a\nFOO\nRUN\nENV A\n', 'Dockerfile'),
    (error) => error instanceof GantryError && error.places.map(({ line }) => line).join() === '2,3,4',
  );
});

test('parseDockerfile() wants a FROM, and only ARG before it', () => {
  assert.throws(() => parseDockerfile('# nothing\n', 'Dockerfile'), /Dockerfile:1:1: the Dockerfile has no FROM/);
  assert.throws(() => parseDockerfile('RUN x\nFROM a\n', 'Dockerfile'), /Dockerfile:1:1: RUN stands before the first FROM/);
  assert.equal(parseDockerfile('ARG A=1\nFROM a$A\n', 'Dockerfile').globalArgs.length, 1);
});

test('parseDockerfile() finds stages and their names', () => {
  const { stages } = parseDockerfile('FROM --platform=linux/amd64 a AS Build\nRUN x\nFROM build\n', 'Dockerfile');
  assert.deepEqual(stages.map(({ index, from, instructions }) => [index, from.name, from.base.text, from.platform?.text, instructions.length]), [
    [0, 'build', 'a', 'linux/amd64', 1],
    [1, undefined, 'build', undefined, 0],
  ]);
});

test('parseDockerfile() honours parser directives only at the top', () => {
  const escape = parseDockerfile('# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN b `\n c\\\n', 'Dockerfile');
  assert.equal(escape.escape, '`');
  assert.equal(escape.stages[0]?.instructions[0]?.text, 'RUN b  c\\');
  assert.equal(parseDockerfile('# a comment\n# escape=`\nFROM a\n', 'Dockerfile').escape, '\\');
  assert.throws(() => parseDockerfile('# escape=x\nFROM a\n', 'Dockerfile'), /Dockerfile:1:1: the escape character/);
  assert.throws(() => parseDockerfile('# escape=`\n# escape=`\nFROM a\n', 'Dockerfile'), /Dockerfile:2:1: the parser directive escape stands twice/);
});

test('parseDockerfile() attaches here-documents', () => {
  const heredocsOf = (text: string): unknown => only(text)['heredocs'] ?? only(text)['inlineFiles'];
  assert.deepEqual(heredocsOf('RUN <<EOF\necho a\n\n# kept\nEOF\nRUN x'), [{ name: 'EOF', isExpanded: true, isChomped: false, content: 'echo a\n\n# kept\n' }]);
  assert.deepEqual(heredocsOf('COPY <<A <<-"B" /x/\na\nA\n\tb\n\tB\n'), [
    { name: 'A', isExpanded: true, isChomped: false, content: 'a\n' },
    { name: 'B', isExpanded: false, isChomped: true, content: '\tb\n' },
  ]);
  assert.deepEqual(only('COPY <<A b /x/\na\nA\n')['sources'], ['b']);
  assert.equal(instructionsOf('RUN <<EOF\nFROM x\nEOF\nRUN y').length, 2);
  assert.deepEqual(heredocsOf('RUN ["<<EOF"]'), []);
  assert.deepEqual(heredocsOf('RUN echo $((1<<2))'), []);
  assert.deepEqual(heredocsOf("RUN cat <<< 'x'"), []);
});

test('parseDockerfile() finds empty continuation lines', () => {
  assert.deepEqual(parseDockerfile('FROM a\nRUN x \\\n\n y\n', 'Dockerfile').emptyContinuations, [{ line: 3, column: 1 }]);
});

test('parseDockerfile() strips a byte order mark and accepts CRLF', () => {
  const { stages } = parseDockerfile('\uFEFFFROM a\r\nRUN b \\\r\n c\r\n', 'Dockerfile');
  assert.equal(stages[0]?.instructions[0]?.text, 'RUN b  c');
});

test('parseDockerfile() gives words their places across continued lines', () => {
  const [instruction] = instructionsOf('ENV A=1 \\\n    B=2');
  assert.ok(instruction?.kind === 'ENV');
  assert.deepEqual(instruction.pairs.map(({ name, value }) => [name.position, value.position]), [
    [{ line: 2, column: 5 }, { line: 2, column: 7 }],
    [{ line: 3, column: 5 }, { line: 3, column: 7 }],
  ]);
});

test('parseDockerfile() never throws anything but invalid errors whose places are in the file', () => {
  const word = constantFrom('FROM', 'RUN', 'COPY', 'ADD', 'ENV', 'ARG', 'ONBUILD', 'HEALTHCHECK', '--mount=type=cache', '--from=x', '<<EOF', 'EOF', '["a"', ']', '\\', '\n', '\n', '#', '=', '$X', '"', "'", 'a', ' ');
  check(
    property(array(word, { maxLength: 20 }), (words) => {
      const text = words.join(' ');
      const lines = text.split('\n').length;
      try {
        parseDockerfile(text, 'Dockerfile');
      } catch (error) {
        assert.ok(isError(error, 'invalid'), String(error));
        for (const { line = 0, column = 0 } of error.places) assert.ok(line >= 1 && line <= lines && column >= 1, `${line}:${column}`);
      }
    }),
    { numRuns: 500 },
  );
});
