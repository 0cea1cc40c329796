import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { k8s } from '../../../api/mod.ts';
import { ago } from '../testing/objects.ts';
import { planVolumeClaim } from './claim-plan.ts';
import { bindCompleted, type ClaimAction, claimProtection, type ObservedClaim, provisionedBy, selectedNode, type StorageClass, type Volume, type VolumeClaim, volumeProtection } from './observed.ts';
import { planVolume } from './volume-plan.ts';

const meta = (name: string, more: object = {}) => ({ name, namespace: 'default', uid: `uid-${name}`, resourceVersion: '1', creationTimestamp: ago(9), ...more });

function claimOf(spec: Partial<k8s.PersistentVolumeClaimSpec> = {}, metadata: object = {}, phase = 'Pending'): VolumeClaim {
  return { metadata: meta('data', metadata), spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'local', resources: { requests: { storage: '1Gi' } }, ...spec }, status: { phase } };
}

function volumeOf(name: string, spec: Partial<k8s.PersistentVolumeSpec> = {}, phase = 'Available', metadata: object = {}): Volume {
  return { metadata: meta(name, { namespace: undefined, ...metadata }), spec: { accessModes: ['ReadWriteOnce'], storageClassName: 'local', capacity: { storage: '1Gi' }, persistentVolumeReclaimPolicy: 'Delete', ...spec }, status: { phase } };
}

const classOf = (volumeBindingMode: string, provisioner = 'gantry.dev/local'): StorageClass => ({ metadata: meta('local'), provisioner, volumeBindingMode });
const held = { claimRef: { namespace: 'default', name: 'data', uid: 'uid-data' } };

function plan(claim: VolumeClaim, volumes: Volume[] = [], over: Partial<ObservedClaim> = {}): [string[], string | undefined] {
  const { actions, status } = planVolumeClaim({ claim, volumes, storageClass: classOf('WaitForFirstConsumer'), node: undefined, anyNode: 'node-1', isUsed: false, ...over });
  return [actions.map(describe), status?.phase];
}

function describe(action: ClaimAction): string {
  switch (action.type) {
    case 'reserve':
      return `reserve ${action.volume.metadata.name}`;
    case 'bind':
      return `bind ${action.volumeName}`;
    case 'annotate':
      return `annotate ${Object.values(action.annotations).join()}`;
    case 'tell':
      return action.reason;
    default:
      return action.type;
  }
}

test('planVolumeClaim() finds, reserves and binds', () => {
  const chosen = claimOf({}, { annotations: { [selectedNode]: 'node-1' } });
  const cases: [string, [string[], string | undefined], [string[], string | undefined]][] = [
    ['waits for its first pod', plan(claimOf()), [['WaitForFirstConsumer'], 'Pending']],
    ['then asks for a volume', plan(chosen), [['annotate gantry.dev/local', 'ExternalProvisioning'], 'Pending']],
    ['or takes the smallest that fits', plan(chosen, [volumeOf('big', { capacity: { storage: '9Gi' } }), volumeOf('small', { capacity: { storage: '2Gi' } }), volumeOf('tiny', { capacity: { storage: '1Mi' } })]), [['reserve small'], 'Pending']],
    ['not of another class, nor with other modes', plan(chosen, [volumeOf('a', { storageClassName: 'x' }), volumeOf('b', { accessModes: ['ReadOnlyMany'] })], { storageClass: classOf('WaitForFirstConsumer', 'kubernetes.io/no-provisioner') }), [['FailedBinding'], 'Pending']],
    ['reserved: now it names it', plan(chosen, [volumeOf('v', held)]), [['bind v'], 'Bound']],
    ['bound', plan(claimOf({ volumeName: 'v' }, { annotations: { [bindCompleted]: 'yes' } }), [volumeOf('v', held)]), [[], 'Bound']],
    ['asked for by name', plan(claimOf({ volumeName: 'v' }), [volumeOf('v')]), [['reserve v'], 'Pending']],
    ['somebody else has it', plan(claimOf({ volumeName: 'v' }), [volumeOf('v', { claimRef: { namespace: 'default', name: 'other', uid: 'x' } })]), [[], 'Pending']],
    ['kept for it by a person', plan(claimOf(), [volumeOf('v', { claimRef: { namespace: 'default', name: 'data' } })]), [['reserve v'], 'Pending']],
    ['lost', plan(claimOf({ volumeName: 'v' }, { annotations: { [bindCompleted]: 'yes' } }, 'Bound')), [['ClaimLost'], 'Lost']],
    ['Immediate: any node', plan(claimOf(), [], { storageClass: classOf('Immediate') }), [['annotate gantry.dev/local,node-1', 'ExternalProvisioning'], 'Pending']],
    ['no class and no volume', plan(claimOf({ storageClassName: '' }), [], { storageClass: undefined }), [['FailedBinding'], 'Pending']],
    ['a class that is not there', plan(claimOf(), [], { storageClass: undefined }), [['ProvisioningFailed'], 'Pending']],
    ['deleted while used', plan(claimOf({}, { deletionTimestamp: ago(1), finalizers: [claimProtection] }), [], { isUsed: true }), [[], undefined]],
    ['deleted and free', plan(claimOf({}, { deletionTimestamp: ago(1), finalizers: [claimProtection] })), [['unprotect'], undefined]],
  ];
  for (const [what, actual, expected] of cases) assert.deepEqual(actual, expected, what);
});

test('planVolume() follows its claim and gives nothing up unasked', () => {
  const cases: [string, Volume, VolumeClaim | undefined, [string[], string | undefined]][] = [
    ['free', volumeOf('v', {}, 'Pending'), undefined, [[], 'Available']],
    ['bound', volumeOf('v', held), claimOf({ volumeName: 'v' }), [[], 'Bound']],
    ['its claim is gone: asked again', volumeOf('v', held, 'Bound'), undefined, [['release'], undefined]],
    ['another claim of that name', volumeOf('v', held, 'Bound'), claimOf({}, { uid: 'other' }), [['release'], undefined]],
    ['released: left to who made it', volumeOf('v', held, 'Released', { annotations: { [provisionedBy]: 'gantry.dev/local' } }), undefined, [[], 'Released']],
    ['released and nobody made it', volumeOf('v', held, 'Released'), undefined, [[], 'Failed']],
    ['released and kept', volumeOf('v', { ...held, persistentVolumeReclaimPolicy: 'Retain' }, 'Released'), undefined, [[], 'Released']],
    ['deleted while bound', volumeOf('v', held, 'Bound', { deletionTimestamp: ago(1), finalizers: [volumeProtection] }), claimOf({ volumeName: 'v' }), [[], 'Bound']],
    ['deleted', volumeOf('v', {}, 'Available', { deletionTimestamp: ago(1), finalizers: [volumeProtection] }), undefined, [['unprotect'], undefined]],
  ];
  for (const [what, volume, claim, expected] of cases) {
    const { actions, status } = planVolume({ volume, claim });
    assert.deepEqual([actions.map(({ type }) => type), status?.phase], expected, what);
  }
});
