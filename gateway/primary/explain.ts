/** What would become of a request: asks one worker, since all decide alike but for where their rounds stand. */
import {
  type Explanation,
  type ImaginedRequest,
  type ImaginedStream,
  isHttp,
  type ListenerTerms,
} from "../model/index.ts";
import type { LocalChange } from "./local-changes.ts";
import type { Unanswered } from "./questions.ts";
import type { Workers } from "./workers.ts";

/** A request as an operator writes it. */
export interface AskedRequest extends Pick<ImaginedRequest, "method" | "headers"> {
  readonly url: string;
  /** The name of the listener that it would come in by. */
  readonly listener: string;
  readonly clientAddress: string;
}

export interface ShownExplanation extends Explanation {
  /** Those documents that take part and hold on this gateway alone. */
  readonly local: readonly string[];
  readonly worker: number;
  readonly listener: string;
}

/** What is wrong with what was asked. */
export class ExplainError extends Error {
  override readonly name = "ExplainError";
}

/** Nobody could say. */
export class NoWorkerError extends Error {
  override readonly name = "NoWorkerError";
}

export interface ExplainerOptions {
  /** Documents that hold on this gateway alone. */
  readonly local: () => readonly Pick<LocalChange, "subject">[];
  readonly workers: Pick<Workers, "ask" | "firstServing">;
  readonly listeners: readonly Pick<ListenerTerms, "name" | "protocol">[];
  /** All listeners that are open now. */
  readonly open: () => readonly (ListenerTerms & { readonly port: number })[];
}

const streamProtocols = ["tcp", "tls-passthrough", "udp"] as const;

/** Long enough for a script that has to be loaded first, on a busy machine. */
const deadlineMs = 4_000;

export class Explainer {
  readonly #options: ExplainerOptions;

  constructor(options: ExplainerOptions) {
    this.#options = options;
  }

  /** Rejects with an `ExplainError` or a `NoWorkerError`. */
  async explain(asked: AskedRequest): Promise<ShownExplanation> {
    const { workers } = this.#options;
    const imagined = this.#stream(asked) ?? this.#imagine(asked);
    const first = workers.firstServing();
    if (first === null) throw new NoWorkerError("no worker serves yet");
    const who = { workers: new Set([first]), withinMs: deadlineMs };
    const { replies, unanswered } =
      "protocol" in imagined
        ? await workers.ask("explainStream", imagined, who)
        : await workers.ask("explain", imagined, who);
    const [reply] = replies;
    if (reply === undefined) throw new NoWorkerError(whyNot(unanswered));
    const { answer } = reply;
    const parts = new Set(documentsIn(answer));
    const held = this.#options.local().filter(({ subject }) => parts.has(subject));
    const local = held.map(({ subject }) => subject);
    const listener = "protocol" in imagined ? imagined.listener : asked.listener;
    return { worker: reply.worker, listener, local, ...answer };
  }

  /** `null`: a request is asked about. Otherwise the method is a protocol, and the address ends with a listener's port. */
  #stream({ method, url, clientAddress }: AskedRequest): ImaginedStream | null {
    const protocol = streamProtocols.find((one) => one === method);
    if (protocol === undefined) return null;
    const [, name = "", port = ""] =
      /^([^:\s]{0,253}|\[[0-9a-f:.]+\]):([0-9]{1,5})$/i.exec(url) ?? [];
    if (port === "")
      throw new ExplainError(
        `${JSON.stringify(url)} is not :PORT, or NAME:PORT for tls-passthrough`,
      );
    const open = this.#options.open().filter((one) => one.protocol === protocol);
    const listener = open.find((one) => one.port === Number(port));
    if (listener === undefined) {
      const ports = open.map((one) => one.port).join(", ");
      throw new ExplainError(
        `there is no listener for ${protocol} at port ${port}, ${ports === "" ? "nor at any other" : `but at ${ports}`}`,
      );
    }
    const { name: at, upstream, exposes } = listener;
    const asked = { written: url, name: name.toLowerCase(), clientAddress };
    return { protocol, listener: at, upstream, exposes, ...asked };
  }

  #imagine({ method, url, headers, listener, clientAddress }: AskedRequest): ImaginedRequest {
    const { listeners } = this.#options;
    const serving = listeners.filter(({ protocol }) => isHttp(protocol));
    const at = listeners.findIndex(({ name, protocol }) => name === listener && isHttp(protocol));
    if (at === -1) {
      const names = serving.map(({ name }) => name).join(", ");
      throw new ExplainError(`there is no listener ${listener} for HTTP, but there are: ${names}`);
    }
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(method))
      throw new ExplainError(`${JSON.stringify(method)} is not a method`);
    const read = /^(https?):\/\/([^/?#]+)([^#]*)$/i.exec(url);
    if (read === null)
      throw new ExplainError(`${JSON.stringify(url)} is not http://HOST/PATH or https://HOST/PATH`);
    const [, scheme = "", authority = "", rest = ""] = read;
    // Taken literally, as a client would send it: `new URL` would change the form of the path.
    const target = rest.startsWith("/") ? rest : `/${rest}`;
    if (/[^\x21-\x7e\x80-\xff]/.test(authority + target))
      throw new ExplainError(`${JSON.stringify(url)} has a character that no request may have`);
    for (const [name, value] of headers) {
      if (/[\r\n\0]/.test(name + value) || /[^\0-\xff]/.test(name + value))
        throw new ExplainError(
          `header ${JSON.stringify(name)}: the value has a forbidden character`,
        );
    }
    const given = headers.find(([name]) => name.toLowerCase() === "host")?.[1];
    return {
      method,
      scheme: scheme.toLowerCase() === "https" ? "https" : "http",
      authority: given ?? authority,
      target,
      headers: headers.filter(([name]) => name.toLowerCase() !== "host"),
      clientAddress,
      listener: at,
    };
  }
}

/** The subjects of the documents that an explanation is made of. */
function documentsIn({ sites, outcome }: Explanation): readonly string[] {
  const documents = sites.flatMap(({ document }) => document ?? []);
  if (outcome.kind !== "forward") return documents;
  const upstreams = outcome.shares.map(({ upstream }) => `upstreams/${upstream}`);
  return [...documents, outcome.by, ...upstreams];
}

function whyNot(unanswered: readonly Unanswered[]): string {
  const [first] = unanswered;
  return first === undefined ? "no worker serves yet" : `worker ${first.worker}: ${first.why}`;
}
