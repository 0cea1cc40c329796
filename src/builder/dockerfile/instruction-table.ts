import { parseArg } from './instructions/arg.ts';
import { parseCommand } from './instructions/command.ts';
import { parseAdd, parseCopy } from './instructions/copy.ts';
import { parseFrom } from './instructions/from.ts';
import { parseHealthcheck } from './instructions/healthcheck.ts';
import { parseList } from './instructions/list.ts';
import { parseNameValues } from './instructions/name-values.ts';
import { parseOnbuild } from './instructions/onbuild.ts';
import { parseRun } from './instructions/run.ts';
import { parseShell } from './instructions/shell.ts';
import { parseSingleValue } from './instructions/single-value.ts';
import type { Instruction } from './instruction.ts';
import type { InstructionLine } from './instruction-line.ts';

/** Reads one instruction. Throws `invalid` with a place; the caller adds the file. */
export type InstructionParser = (line: InstructionLine) => Instruction;

/** Every instruction of the language. A new one is an entry here, a type in instruction.ts and a case in plan/. */
export const instructionTable: Readonly<Record<string, InstructionParser>> = {
  ADD: parseAdd,
  ARG: parseArg,
  CMD: parseCommand,
  COPY: parseCopy,
  ENTRYPOINT: parseCommand,
  ENV: parseNameValues,
  EXPOSE: parseList,
  FROM: parseFrom,
  HEALTHCHECK: parseHealthcheck,
  LABEL: parseNameValues,
  MAINTAINER: parseSingleValue,
  ONBUILD: parseOnbuild,
  RUN: parseRun,
  SHELL: parseShell,
  STOPSIGNAL: parseSingleValue,
  USER: parseSingleValue,
  VOLUME: parseList,
  WORKDIR: parseSingleValue,
};
