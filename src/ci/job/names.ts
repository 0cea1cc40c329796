import type { Evaluation } from '../expressions/evaluate.ts';
import type { Job, Step, Template } from '../workflow/model.ts';

/** What a job is called: its name if that is plain text, else its id, with the values of its matrix. */
export function jobName(job: Job): string {
  const name = job.name?.kind === 'text' ? job.name.text : job.key;
  return job.matrix === undefined ? name : `${name} (${Object.values(job.matrix).map(plainValue).join(', ')})`;
}

function plainValue(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What a step is called as long as its expressions cannot be evaluated. */
export function plainStepName(step: Step): string {
  if (step.name?.kind === 'text') return step.name.text;
  if (step.id !== undefined) return step.id;
  if (step.kind === 'run') return `Run ${firstLine(asWritten(step.run))}`;
  return step.kind === 'checkout' ? 'actions/checkout' : 'docker/build-push-action';
}

/** What a step is called when it runs: by its name, or by the first line of its script as it stands in the file. */
export function stepName(step: Step, evaluation: Evaluation): string {
  if (step.name !== undefined) return evaluation.text(step.name);
  return step.kind === 'run' ? `Run ${firstLine(asWritten(step.run))}` : plainStepName(step);
}

function asWritten(template: Template): string {
  if (template.kind === 'text') return template.text;
  const parts = template.kind === 'mixed' ? template.parts : [template];
  return parts.map((part) => (part.kind === 'text' ? part.text : `\${{ ${part.expression} }}`)).join('');
}

function firstLine(text: string): string {
  const line = text.trim().split('\n')[0] ?? '';
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}
