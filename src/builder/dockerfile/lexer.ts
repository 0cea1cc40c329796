import type { ErrorPlace } from '../../kernel/mod.ts';
import { findHeredocMarks, type Heredoc, type HeredocMark } from './heredoc.ts';
import { LocatedText, type Position } from './located-text.ts';
import type { EscapeCharacter } from './shell-word.ts';
import type { SourceFile } from './source-file.ts';

/** An instruction as it stands in the file: continued lines joined, comments gone, here-documents attached. */
export interface LogicalLine {
  readonly text: LocatedText;
  readonly position: Position;
  readonly lastLine: number;
  readonly heredocs: readonly Heredoc[];
  /** The comment lines just above it, without `#`. */
  readonly comments: readonly string[];
}

export interface LexedDockerfile {
  readonly escape: EscapeCharacter;
  readonly directives: ReadonlyMap<string, { readonly value: string; readonly position: Position }>;
  readonly lines: readonly LogicalLine[];
  readonly problems: readonly ErrorPlace[];
  /** Empty lines inside continued instructions. */
  readonly emptyContinuations: readonly Position[];
}

const knownDirectives = ['syntax', 'escape', 'check'];

/** Splits a Dockerfile into logical lines (Dockerfile reference, "Format", "Parser directives"). Never throws; problems carry their place. */
export function lexDockerfile(source: SourceFile): LexedDockerfile {
  const lexer = new Lexer(source);
  const lines: LogicalLine[] = [];
  for (let line = lexer.next(); line !== undefined; line = lexer.next()) lines.push(line);
  return { escape: lexer.escape, directives: lexer.directives, lines, problems: lexer.problems, emptyContinuations: lexer.emptyContinuations };
}

class Lexer {
  escape: EscapeCharacter = '\\';
  readonly directives = new Map<string, { value: string; position: Position }>();
  readonly problems: ErrorPlace[] = [];
  readonly emptyContinuations: Position[] = [];
  readonly #source: SourceFile;
  #index = 0;
  #acceptsDirectives = true;
  #comments: string[] = [];

  constructor(source: SourceFile) {
    this.#source = source;
  }

  next(): LogicalLine | undefined {
    while (this.#index < this.#source.lines.length) {
      const text = this.#source.lines[this.#index] ?? '';
      if (this.#isComment(text)) this.#comment(text);
      else {
        this.#acceptsDirectives = false;
        const line = this.#logicalLine();
        if (line !== undefined) return line;
      }
    }
    return undefined;
  }

  #isComment(text: string): boolean {
    return text.trimStart().startsWith('#');
  }

  #comment(text: string): void {
    const body = text.trimStart().slice(1);
    this.#index += 1;
    if (this.#acceptsDirectives && this.#directive(body, text.indexOf('#') + 1)) return;
    this.#acceptsDirectives = false;
    if (body.trim() === '') this.#comments = [];
    else this.#comments.push(body.trim());
  }

  #directive(body: string, hashColumn: number): boolean {
    const match = /^\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*$/.exec(body);
    const name = match?.[1]?.toLowerCase() ?? '';
    const value = match?.[2] ?? '';
    if (!knownDirectives.includes(name)) return false;
    const position = { line: this.#index, column: hashColumn };
    if (this.directives.has(name)) this.problems.push(this.#source.place(position, `the parser directive ${name} stands twice`));
    this.directives.set(name, { value, position });
    if (name !== 'escape') return true;
    if (value === '\\' || value === '`') this.escape = value;
    else this.problems.push(this.#source.place(position, `the escape character is \\ or \`, not ${JSON.stringify(value)}`));
    return true;
  }

  #logicalLine(): LogicalLine | undefined {
    const first = this.#source.lines[this.#index] ?? '';
    const start = { line: this.#index + 1, column: first.length - first.trimStart().length + 1 };
    this.#index += 1;
    let { text, isContinued } = this.#splitContinuation(first.trimStart());
    if (text.trim() === '' && !isContinued) {
      return undefined;
    }
    const pieces = [{ text, start }];
    while (isContinued && this.#index < this.#source.lines.length) {
      const line = this.#source.lines[this.#index] ?? '';
      this.#index += 1;
      if (this.#isComment(line)) continue;
      if (line.trim() === '') {
        if (this.#index < this.#source.lines.length) this.emptyContinuations.push({ line: this.#index, column: 1 });
        continue;
      }
      ({ text, isContinued } = this.#splitContinuation(line));
      pieces.push({ text, start: { line: this.#index, column: 1 } });
    }
    return this.#finish(LocatedText.join(pieces), start);
  }

  #splitContinuation(text: string): { text: string; isContinued: boolean } {
    const escape = this.escape === '\\' ? '\\\\' : '`';
    const match = new RegExp(`(?:^|[^${escape}])(${escape}[ \\t]*)$`).exec(text);
    const tail = match?.[1];
    return tail === undefined ? { text, isContinued: false } : { text: text.slice(0, text.length - tail.length), isContinued: true };
  }

  #finish(text: LocatedText, position: Position): LogicalLine | undefined {
    const comments = this.#comments;
    this.#comments = [];
    if (text.text.trim() === '') return undefined;
    const heredocs = canHaveHeredocs(text.text) ? findHeredocMarks(text.text).map((mark) => this.#heredoc(mark, position)) : [];
    return { text, position, lastLine: this.#index, heredocs, comments };
  }

  #heredoc(mark: HeredocMark, opener: Position): Heredoc {
    const position = { line: this.#index + 1, column: 1 };
    let content = '';
    while (this.#index < this.#source.lines.length) {
      const line = this.#source.lines[this.#index] ?? '';
      this.#index += 1;
      if ((mark.isChomped ? line.replace(/^\t+/, '') : line) === mark.name) return { ...mark, content, position };
      content += `${line}\n`;
    }
    this.problems.push(this.#source.place(opener, `the here-document ${mark.name} has no end: a line with only ${mark.name} is missing`));
    return { ...mark, content, position };
  }
}

/** Only RUN, COPY and ADD (also behind ONBUILD), and not in their JSON form. */
function canHaveHeredocs(text: string): boolean {
  const match = /^(?:ONBUILD\s+)?(?:RUN|COPY|ADD)\s+((?:--\S*\s+)*)(.*)$/is.exec(text.trim());
  if (match === null || !text.includes('<<')) return false;
  return !isJsonList(match[2] ?? '');
}

function isJsonList(text: string): boolean {
  if (!text.startsWith('[')) return false;
  try {
    return Array.isArray(JSON.parse(text));
  } catch {
    return false;
  }
}
