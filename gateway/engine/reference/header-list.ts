/**
 * The header lines of a head as `node:http` gives them (`rawHeaders`), with the changes that are to be
 * made on the way on.
 */
import { isConnectionOption, isRemovable, requestOwned, responseOwned } from "../message/fields.ts";
import { isFieldValue, isToken, listElements } from "../message/grammar.ts";

/** Owned fields that are passed on all the same: the gateway adds to the first, the second is the origin's. */
const passedOn = { request: new Set(["via"]), response: new Set(["trailer"]) } as const;

interface Line {
  readonly name: string;
  readonly lower: string;
  readonly value: string;
}

export class HeaderList {
  readonly #lines: readonly Line[];
  readonly #owned: ReadonlySet<string>;
  readonly #passedOn: ReadonlySet<string>;
  /** By lower-case name; `value` is `null` where the field is removed. */
  readonly #edits = new Map<string, { readonly name: string; readonly value: string | null }>();

  #added: Line[] = [];

  constructor(side: "request" | "response", rawHeaders: readonly string[]) {
    const lines: Line[] = [];
    for (let n = 0; n + 1 < rawHeaders.length; n += 2) {
      const name = rawHeaders[n] ?? "";
      lines.push({ name, lower: name.toLowerCase(), value: rawHeaders[n + 1] ?? "" });
    }
    this.#lines = lines;
    this.#owned = side === "request" ? requestOwned : responseOwned;
    this.#passedOn = passedOn[side];
  }

  get length(): number {
    return this.#lines.length;
  }

  /** The lines before any change, joined by CR LF; white space around values is lost. */
  get raw(): string {
    return this.#lines.map(({ name, value }) => `${name}: ${value}`).join("\r\n");
  }

  /** The lines with the changes, joined by CR LF. */
  get lines(): string {
    const kept = this.#lines.filter(({ lower }) => !this.#edits.has(lower));
    const edits = [...this.#edits.values()].filter(({ value }) => value !== null);
    return [...kept, ...edits, ...this.#added]
      .map(({ name, value }) => `${name}: ${value}`)
      .join("\r\n");
  }

  /** Every value of a field as it was sent. `name` is in lower case. */
  sent(name: string): string[] {
    return this.#lines.filter((line) => line.lower === name).map((line) => line.value);
  }

  /** The first value of a field, with the edits applied. */
  get(name: string): string | undefined {
    const lower = name.toLowerCase();
    const edit = this.#edits.get(lower);
    if (edit !== undefined && edit.value !== null) return edit.value;
    const lines = edit === undefined ? [...this.#lines, ...this.#added] : this.#added;
    return lines.find((line) => line.lower === lower)?.value;
  }

  /** Throws a `TypeError` that names the field when it is the engine's own or breaks the grammar. */
  set(name: string, value: string): void {
    this.#check(name, value);
    this.#edit(name, value);
  }

  /** One more line of a field that may have several; the others stay. Throws as `set` does. */
  add(name: string, value: string): void {
    this.#check(name, value);
    this.#added.push({ name, lower: name.toLowerCase(), value });
  }

  /** Throws as `set` does, though of the engine's fields those that tell of the client may go. */
  remove(name: string): void {
    if (!isRemovable(name.toLowerCase())) this.#check(name, "");
    this.#edit(name, null);
  }

  /** Whether the field, in lower case, was taken out. */
  isRemoved(name: string): boolean {
    return this.#edits.get(name)?.value === null;
  }

  /** The value of `Connection`, all lines of it; empty when absent. */
  get connection(): string {
    return this.sent("connection").join(", ");
  }

  /** Leaves out every field that a `Connection` value names. */
  removeNamedBy(connection: string): void {
    for (const name of listElements(connection)) {
      if (isConnectionOption(name, this.#owned)) this.#edit(name, null);
    }
  }

  /** The fields that go on, in their order, those of the engine left out. */
  forwarded(): (readonly [name: string, value: string])[] {
    const out: (readonly [string, string])[] = [];
    for (const { name, lower, value } of this.#lines) {
      if (this.#edits.has(lower)) continue;
      if (this.#owned.has(lower) && !this.#passedOn.has(lower)) continue;
      out.push([name, value]);
    }
    for (const { name, value } of this.#edits.values()) if (value !== null) out.push([name, value]);
    for (const { name, value } of this.#added) out.push([name, value]);
    return out;
  }

  #edit(name: string, value: string | null): void {
    const lower = name.toLowerCase();
    this.#edits.set(lower, { name, value });
    this.#added = this.#added.filter((line) => line.lower !== lower);
  }

  #check(name: string, value: string): void {
    if (!isToken(name)) throw new TypeError(`header ${JSON.stringify(name)}: not a header name`);
    if (this.#owned.has(name.toLowerCase())) {
      throw new TypeError(`header ${name}: the gateway sets it itself`);
    }
    if (!isFieldValue(value)) {
      throw new TypeError(`header ${name}: the value has a forbidden character`);
    }
  }
}
