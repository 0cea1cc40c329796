/**
 * cluster/controllers: what makes the cluster's state follow what its objects ask for.
 * Read services.ts (the list), then replica-set/plan.ts: each folder is one controller, its plan a pure function beside its table test.
 */
export * from './config.ts';
export { controllerServices, type ControllerServicesOptions } from './services.ts';
