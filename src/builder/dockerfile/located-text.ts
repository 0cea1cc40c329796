/** A place in a file; both count from 1, columns in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

interface Segment {
  readonly offset: number;
  readonly start: Position;
}

/** Text joined from pieces of a file (continued lines), every offset of which can be traced back to its line and column. */
export class LocatedText {
  readonly text: string;
  readonly #segments: readonly Segment[];

  constructor(text: string, segments: readonly Segment[]) {
    this.text = text;
    this.#segments = segments;
  }

  /** Joins pieces, each with the position of its first character. */
  static join(pieces: readonly { text: string; start: Position }[]): LocatedText {
    let offset = 0;
    const segments = pieces.map(({ text, start }) => {
      const segment = { offset, start };
      offset += text.length;
      return segment;
    });
    return new LocatedText(pieces.map(({ text }) => text).join(''), segments);
  }

  /** Offsets past the end give the place just after the last character. */
  positionAt(offset: number): Position {
    const segment = this.#segments.findLast((candidate) => candidate.offset <= offset) ?? this.#segments[0];
    if (segment === undefined) return { line: 1, column: 1 };
    const within = Math.max(0, Math.min(offset, this.text.length) - segment.offset);
    return { line: segment.start.line, column: segment.start.column + within };
  }

  slice(from: number, to: number = this.text.length): LocatedText {
    const pieces: Segment[] = [{ offset: 0, start: this.positionAt(from) }];
    for (const { offset, start } of this.#segments) if (offset > from && offset < to) pieces.push({ offset: offset - from, start });
    return new LocatedText(this.text.slice(from, to), pieces);
  }

  /** Without leading and trailing white space. */
  trim(): LocatedText {
    const leading = this.text.length - this.text.trimStart().length;
    return this.slice(leading, Math.max(leading, this.text.trimEnd().length));
  }

  /** The maximal runs of text between white space, with their offsets. */
  words(): { text: string; offset: number }[] {
    return [...this.text.matchAll(/[^\t\v\f\r ]+/g)].map((match) => ({ text: match[0], offset: match.index }));
  }
}
