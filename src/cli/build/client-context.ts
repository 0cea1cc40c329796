import { existsSync, lstatSync, readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { IgnoreRules, packFiles, parseIgnoreFile, readManifest } from '../../context/mod.ts';
import { GantryError } from '../../kernel/mod.ts';
import type { AgentClient } from '../agent-client.ts';

export type SentContext = { readonly held: string } | { readonly git: string };

/** A repository's URL, which the builder fetches itself. */
export function isGitUrl(text: string): boolean {
  return /^(?:git|ssh):\/\//.test(text) || /^https?:\/\/[^#?]*\.git(?:[#?].*)?$/.test(text) || /^[\w.-]+@[\w.-]+:(?!\/\/)/.test(text);
}

/** The rules of what a build may see of a folder: those beside the Dockerfile, else the folder's own. */
export function readIgnoreText(folder: string, dockerfile: string | undefined): { text: string; name: string } | undefined {
  const candidates = [...(dockerfile === undefined ? [] : [`${dockerfile}.dockerignore`]), join(folder, '.dockerignore')];
  const path = candidates.find((candidate) => existsSync(candidate));
  return path === undefined ? undefined : { text: readFileSync(path, 'utf8'), name: path };
}

/** Brings the builder's copy of the folder (which it knows by the name `known`) up to date: it is told what the folder has, and sent what it misses. */
export async function sendFolder(agent: AgentClient, folder: string, ignore: { text: string; name: string } | undefined, signal: AbortSignal, known = resolve(folder)): Promise<SentContext> {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) throw new GantryError('not-found', `${folder} is no folder`);
  const rules = ignore === undefined ? IgnoreRules.none : parseIgnoreFile(ignore.text, ignore.name);
  const manifest = readManifest(folder, rules, new Set(['.dockerignore']));
  const name = `${hostname()}:${known}`;
  const { id, missing } = (await agent.json('POST', `/builder/contexts?name=${encodeURIComponent(name)}`, JSON.stringify([...manifest]), signal)) as { id: string; missing: string[] };
  const present = missing.filter((path) => lstatSync(join(folder, path), { throwIfNoEntry: false })?.isSocket() === false);
  if (missing.length > 0) {
    const { tar, done } = packFiles(folder, present, signal);
    await agent.json('POST', `/builder/contexts/${id}`, tar, signal);
    await done;
  }
  return { held: id };
}
