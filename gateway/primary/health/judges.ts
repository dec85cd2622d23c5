/** What the answers of servers that speak no HTTP mean to a check. */

/** `null`: it is well; else what is wrong, in one clause. */
export type Verdict = string | null;

/** Looks at what a server sends. */
export interface Judge {
  /** `undefined`: it wants more. */
  push(chunk: Buffer): Verdict | undefined;
  /** The server sends nothing more. */
  end(): Verdict;
}

const maxShown = 60;

/** A text from outside, in quotes and cut. */
export function shown(text: string): string {
  return JSON.stringify(text.length > maxShown ? `${text.slice(0, maxShown)}...` : text);
}

/** The first line of the answer to PING (Redis serialization protocol): a server that asks for a password is alive. */
export class RedisAnswer implements Judge {
  static readonly request = "*1\r\n$4\r\nPING\r\n";
  #text = "";

  push(chunk: Buffer): Verdict | undefined {
    this.#text += chunk.toString("latin1", 0, 512);
    const end = this.#text.indexOf("\r\n");
    if (end === -1) return this.#text.length >= 512 ? "the answer is not Redis's" : undefined;
    const line = this.#text.slice(0, end);
    if (line === "+PONG" || line.startsWith("-NOAUTH")) return null;
    return `it answered ${shown(line)}`;
  }

  end(): Verdict {
    return "it closed the connection without an answer";
  }
}

/** The server speaks first (MySQL's client/server protocol, `Protocol::Handshake`): a length, a number, the version 10. */
export class MysqlGreeting implements Judge {
  #bytes: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Verdict | undefined {
    this.#bytes = Buffer.concat([this.#bytes, chunk.subarray(0, 16)]);
    if (this.#bytes.length < 5) return undefined;
    const kind = this.#bytes[4];
    if (kind === 10) return null;
    if (kind !== 0xff) return "the greeting is not MySQL's";
    return this.#bytes.length < 7
      ? undefined
      : `it refused with error ${this.#bytes.readUInt16LE(5)}`;
  }

  end(): Verdict {
    return "it closed the connection without a greeting";
  }
}

/** What an error of a connection means. */
export function reasonOf(
  error: Error & { readonly code?: string; readonly reason?: unknown },
): string {
  switch (error.code) {
    case "ECONNREFUSED":
      return "it refuses connections";
    case "ECONNRESET":
      return "it reset the connection";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "it cannot be reached";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "its name cannot be resolved";
    default:
      // OpenSSL's. After the handshake, too: in TLS 1.3 a server refuses a client's certificate only then.
      if (typeof error.reason === "string") return `the TLS connection failed: ${error.reason}`;
      return error.code ?? error.message;
  }
}
