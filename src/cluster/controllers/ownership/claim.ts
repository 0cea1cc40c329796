import { type k8s, type KubeObject, apiVersionOf, type ResourceType, selectorMatches, type Stored } from '../../../api/mod.ts';

/** The reference of an object's controller, if it has one (`metadata.ownerReferences[].controller`). */
export function controllerOf(object: KubeObject): k8s.OwnerReference | undefined {
  return object.metadata?.ownerReferences?.find(({ controller }) => controller === true);
}

/** The reference that makes `owner` the controller of an object; its foreground deletion waits for the object. */
export function controllerReference(type: ResourceType, owner: Stored<KubeObject>): k8s.OwnerReference {
  return { apiVersion: apiVersionOf(type), kind: type.kind, name: owner.metadata.name, uid: owner.metadata.uid, controller: true, blockOwnerDeletion: true };
}

export interface Claim<T extends KubeObject> {
  /** Controlled by the owner and selected. */
  readonly owned: Stored<T>[];
  /** Selected, without a controller: to be adopted. */
  readonly adopt: Stored<T>[];
  /** Controlled by the owner but no longer selected: to be let go. */
  readonly release: Stored<T>[];
}

/** Sorts the candidates by what the owner should do with them. An owner that is being deleted adopts nothing. */
export function planClaim<T extends KubeObject>(owner: Stored<KubeObject>, selector: k8s.LabelSelector, candidates: readonly Stored<T>[]): Claim<T> {
  const isGoing = owner.metadata.deletionTimestamp !== undefined;
  const claim: Claim<T> = { owned: [], adopt: [], release: [] };
  for (const object of candidates) {
    const controller = controllerOf(object);
    const isSelected = selectorMatches(selector, object.metadata.labels);
    if (controller !== undefined) {
      if (controller.uid !== owner.metadata.uid) continue;
      if (isSelected) claim.owned.push(object);
      else if (!isGoing) claim.release.push(object);
    } else if (isSelected && !isGoing && object.metadata.deletionTimestamp === undefined) {
      claim.adopt.push(object);
    }
  }
  return claim;
}
