/**
 * The field lines of a head where they stand in its text: which of them are left out when the head is passed on, and
 * which are changed. The rest is copied in runs, never line by line.
 */
import { isConnectionOption, isRemovable, requestOwned, responseOwned } from "./fields.ts";
import { fieldValue, isFieldValue, isNamed, isToken, listElements } from "./grammar.ts";

/** Up to so many edits, the lines are walked once for each. With more, a client could make that costly. */
const fewEdits = 8;

interface Edit {
  readonly name: string;
  /** `null`: the field is removed. */
  readonly value: string | null;
}

/** One head's field lines, reused from head to head; call `reset` first. */
export class FieldLines {
  /** The text that holds the head, and perhaps more after it. */
  text = "";
  /** Offset of the first field line. */
  start = 0;
  /** Offset after the CR LF of the last field line. */
  end = 0;
  /** Pairs of offsets into `text`, ascending: the lines that are not passed on. */
  readonly #dropped: number[] = [];
  #droppedCount = 0;
  /** The dropped lines that `raw` and handlers must not see either, in the same form. */
  #hidden: number[] | null = null;
  #edits: Map<string, Edit> | null = null;
  #added: Edit[] | null = null;
  readonly #owned: ReadonlySet<string>;

  constructor(side: "request" | "response") {
    this.#owned = side === "request" ? requestOwned : responseOwned;
  }

  reset(text: string, start: number, end: number): void {
    this.text = text;
    this.start = start;
    this.end = end;
    this.#droppedCount = 0;
    this.#hidden = null;
    this.#edits = null;
    this.#added = null;
  }

  /** Leaves out the line at `[from, to)`, its CR LF included. Call it for lines in their order. */
  drop(from: number, to: number): void {
    const count = this.#droppedCount;
    if (count > 0 && this.#dropped[count - 1] === from) {
      this.#dropped[count - 1] = to;
      return;
    }
    this.#dropped[count] = from;
    this.#dropped[count + 1] = to;
    this.#droppedCount = count + 2;
  }

  /** Drops the line, and hides it from `raw` and handlers. */
  hide(from: number, to: number): void {
    this.drop(from, to);
    this.#hidden ??= [];
    this.#hidden.push(from, to);
  }

  /** Hides lines although later lines were dropped already. `pairs` are offsets, ascending. */
  hideAll(pairs: readonly number[]): void {
    const before = this.#dropped.slice(0, this.#droppedCount);
    this.#droppedCount = 0;
    let at = 0;
    const dropUntil = (end: number) => {
      for (; (before[at] ?? end) < end; at += 2) this.drop(before[at] ?? 0, before[at + 1] ?? 0);
    };
    for (let pair = 0; pair < pairs.length; pair += 2) {
      const from = pairs[pair] ?? 0;
      dropUntil(from);
      this.hide(from, pairs[pair + 1] ?? 0);
    }
    dropUntil(this.end);
  }

  get raw(): string {
    const { text, start, end } = this;
    if (end <= start) return "";
    if (this.#hidden === null) return text.slice(start, end - 2);
    return this.#without(this.#hidden, this.#hidden.length).slice(0, -2);
  }

  /** The lines as `raw` has them, with the handler's changes. */
  get lines(): string {
    if (this.#edits === null && this.#added === null) return this.raw;
    const raw = this.raw === "" ? "" : `${this.raw}\r\n`;
    let out = this.#edits === null ? raw : withEdits(raw, this.#edits);
    for (const { name, value } of this.#added ?? []) out += `${name}: ${value}\r\n`;
    return out.slice(0, -2);
  }

  /** Whether a handler changed any field, or `Connection` named one. */
  get hasEdits(): boolean {
    return this.#edits !== null;
  }

  /** Whether a handler removed the field; `name` is in lower case. */
  isRemoved(name: string): boolean {
    return this.#edits?.get(name)?.value === null;
  }

  /** The first value of a field, with the edits applied. */
  get(name: string): string | undefined {
    const lower = name.toLowerCase();
    const edit = this.#edits?.get(lower);
    if (edit !== undefined) return edit.value ?? this.#addedValue(lower);
    const { text, end } = this;
    const hidden = this.#hidden;
    let next = 0;
    for (let line = this.start; line < end; ) {
      const lineEnd = text.indexOf("\r\n", line);
      const colon = text.indexOf(":", line);
      if (hidden !== null && hidden[next] === line) next += 2;
      else if (isNamed(text, line, colon, lower)) return fieldValue(text, colon, lineEnd);
      line = lineEnd + 2;
    }
    return this.#addedValue(lower);
  }

  #addedValue(lower: string): string | undefined {
    return this.#added?.find((edit) => edit.name.toLowerCase() === lower)?.value ?? undefined;
  }

  /** Replaces a field. Throws a `TypeError` that names it when it belongs to the engine or breaks the grammar. */
  set(name: string, value: string): void {
    this.#check(name);
    if (!isFieldValue(value))
      throw new TypeError(`header ${name}: the value has a forbidden character`);
    this.#edit(name, value);
  }

  /** Adds a line to a field that may have several. Throws as `set` does. */
  add(name: string, value: string): void {
    this.#check(name);
    if (!isFieldValue(value))
      throw new TypeError(`header ${name}: the value has a forbidden character`);
    this.#added ??= [];
    this.#added.push({ name, value });
  }

  /**
   * Removes a field. Throws as `set` does, except for the engine's fields that tell about the client: those may go.
   */
  remove(name: string): void {
    if (!isRemovable(name.toLowerCase())) this.#check(name);
    this.#edit(name, null);
  }

  /** Removes every field that a `Connection` value names. */
  removeNamedBy(connection: string): void {
    for (const name of listElements(connection)) {
      if (isConnectionOption(name, this.#owned)) this.#edit(name, null);
    }
  }

  /** All lines that are passed on, each with its CR LF. */
  toString(): string {
    const runs = this.#runs();
    let out = this.#edits === null ? runs : withEdits(runs, this.#edits);
    for (const { name, value } of this.#added ?? []) out += `${name}: ${value}\r\n`;
    return out;
  }

  #runs(): string {
    return this.#without(this.#dropped, this.#droppedCount);
  }

  /** All lines except those between pairs of offsets. */
  #without(pairs: readonly number[], count: number): string {
    let out = "";
    let from = this.start;
    for (let index = 0; index < count; index += 2) {
      const to = pairs[index] ?? from;
      if (to > from) out += this.text.slice(from, to);
      from = pairs[index + 1] ?? from;
    }
    return from < this.end ? out + this.text.slice(from, this.end) : out;
  }

  #check(name: string): void {
    if (!isToken(name)) throw new TypeError(`header ${JSON.stringify(name)}: not a header name`);
    if (this.#owned.has(name.toLowerCase())) {
      throw new TypeError(`header ${name}: the gateway sets it itself`);
    }
  }

  #edit(name: string, value: string | null): void {
    const lower = name.toLowerCase();
    this.#edits ??= new Map();
    this.#edits.set(lower, { name, value });
    if (this.#added !== null) {
      this.#added = this.#added.filter((edit) => edit.name.toLowerCase() !== lower);
    }
  }
}

/** Returns the lines, each with its CR LF, with the fields that were set and without those that were removed. */
function withEdits(lines: string, edits: ReadonlyMap<string, Edit>): string {
  let out = lines;
  if (edits.size > fewEdits) out = withoutFields(out, edits);
  else for (const name of edits.keys()) out = withoutField(out, name);
  for (const { name, value } of edits.values()) if (value !== null) out += `${name}: ${value}\r\n`;
  return out;
}

/**
 * Returns `lines` itself when the field, in lower case, is not among them, as mostly happens: most edits add a field.
 */
function withoutField(lines: string, name: string): string {
  let out = "";
  let from = 0;
  for (let line = 0; line < lines.length; ) {
    const next = lines.indexOf("\r\n", line) + 2;
    const colon = line + name.length;
    if (lines.charCodeAt(colon) === 58 && isNamed(lines, line, colon, name)) {
      out += lines.slice(from, line);
      from = next;
    }
    line = next;
  }
  return from === 0 ? lines : out + lines.slice(from);
}

/** Does the same for many fields in one walk. */
function withoutFields(lines: string, names: ReadonlyMap<string, unknown>): string {
  let out = "";
  let from = 0;
  for (let line = 0; line < lines.length; ) {
    const next = lines.indexOf("\r\n", line) + 2;
    if (names.has(lines.slice(line, lines.indexOf(":", line)).toLowerCase())) {
      out += lines.slice(from, line);
      from = next;
    }
    line = next;
  }
  return out + lines.slice(from);
}
