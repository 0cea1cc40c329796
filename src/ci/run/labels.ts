/** Labels of runs. `waits` marks runs that a pusher waits for: they are of no use once the pusher is gone. */
export const runLabels = { repository: 'gantry.dev/repository', commit: 'gantry.dev/commit', waits: 'gantry.dev/push-waits' } as const;
