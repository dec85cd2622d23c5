/** What an HTTP check wants of an answer, whichever version of HTTP brings it: its status, and a text in its body. */
import type { HttpCheck } from "../../model/index.ts";
import { shown, type Verdict } from "./judges.ts";

/** Of the body, what is looked at. */
const maxBodyBytes = 64 * 1024;

export function verdictOnStatus(status: number, statuses: HttpCheck["statuses"]): Verdict {
  const isGood = statuses.some(([low, high]) => status >= low && status <= high);
  return isGood ? null : `it answered ${status}`;
}

/** Looks for a text in a body that comes in pieces. */
export class BodyText {
  isFound = false;
  readonly #wanted: string;
  #seen = 0;
  /** The end of what came before, in which the text may begin. */
  #tail = "";

  constructor(wanted: string) {
    this.#wanted = Buffer.from(wanted).toString("latin1");
  }

  get missing(): string {
    return `the body does not have ${shown(this.#wanted)}`;
  }

  /** Whether no more is looked at. */
  get isFull(): boolean {
    return this.#seen >= maxBodyBytes;
  }

  push(buffer: Buffer, from: number, to: number): void {
    const last = Math.min(to, from + maxBodyBytes - this.#seen);
    const text = this.#tail + buffer.toString("latin1", from, last);
    this.#seen += last - from;
    if (text.includes(this.#wanted)) this.isFound = true;
    this.#tail = text.slice(Math.max(0, text.length - this.#wanted.length + 1));
  }
}
