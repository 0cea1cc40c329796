import { type ErrorCode, type ErrorPlace, formatPlace, GantryError } from '../../kernel/mod.ts';
import type { Position } from './located-text.ts';

/** A named text whose problems are reported with the line shown and the column marked. */
export class SourceFile {
  readonly name: string;
  /** Physical lines without their ends. */
  readonly lines: readonly string[];

  constructor(name: string, text: string) {
    this.name = name;
    this.lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  }

  place(position: Position, message: string, reason?: string): ErrorPlace {
    return { file: this.name, line: position.line, column: position.column, message, ...(reason === undefined ? {} : { reason }) };
  }

  /** `invalid` (or another code) with the places, each shown with its line. */
  error(places: readonly ErrorPlace[], code: ErrorCode = 'invalid', cause?: unknown): GantryError {
    return new GantryError(code, places.map((place) => this.#show(place)).join('\n'), { places, ...(cause === undefined ? {} : { cause }) });
  }

  errorAt(position: Position, message: string, code: ErrorCode = 'invalid', cause?: unknown): GantryError {
    return this.error([this.place(position, message)], code, cause);
  }

  #show(place: ErrorPlace): string {
    const line = this.lines[(place.line ?? 0) - 1];
    if (line === undefined) return formatPlace(place);
    const number = String(place.line).padStart(4);
    // Tabs stay tabs, so that the mark stands under its character however wide the terminal draws them.
    const indent = line.slice(0, (place.column ?? 1) - 1).replace(/[^\t]/g, ' ');
    return `${formatPlace(place)}\n${number} | ${line}\n     | ${indent}^`;
  }
}
