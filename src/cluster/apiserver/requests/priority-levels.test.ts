import assert from 'node:assert/strict';
import { test } from 'node:test';
import { authenticated } from '../access/user.ts';
import { PriorityLevels } from './priority-levels.ts';

test('PriorityLevels give clients the seats of the first level that names them', () => {
  const levels = new PriorityLevels([{ name: 'system', users: ['robot'], groups: ['system:nodes'], seats: 1 }, { name: 'batch', groups: ['ci'], seats: 2 }], { seats: 3 });
  const [robot, node, builder, person] = [authenticated('robot', '', ['ci']), authenticated('system:node:n', '', ['system:nodes']), authenticated('b', '', ['ci']), authenticated('p', '', [])];
  assert.equal(levels.of(robot), levels.of(node));
  assert.notEqual(levels.of(node), levels.of(builder));
  const seats = (user: typeof robot): number => {
    let taken = 0;
    while (levels.of(user).tryEnter(user.name, 1) !== undefined) taken += 1;
    return taken;
  };
  assert.deepEqual([seats(person), seats(builder), seats(node)], [3, 2, 1], 'one that is full takes nothing from another');
  assert.deepEqual(levels.counts.map(([name, { executing }]) => [name, executing]), [['system', 1], ['batch', 2], ['workload', 3]]);
});

test('PriorityLevels without a setting keep seats for nodes', () => {
  const levels = new PriorityLevels();
  assert.deepEqual(levels.counts.map(([name]) => name), ['nodes', 'workload']);
  assert.notEqual(levels.of(authenticated('system:node:n', '', ['system:nodes'])), levels.of(authenticated('p', '', [])));
});

test('PriorityLevels may set the level of everybody else', () => {
  const levels = new PriorityLevels([{ name: 'workload', seats: 1 }]);
  const person = authenticated('p', '', []);
  assert.notEqual(levels.of(person).tryEnter('p', 1), undefined);
  assert.equal(levels.of(person).tryEnter('p', 1), undefined);
});
