/** Carries out a curl command line as documentation shows it, for machines without curl. */
import { request } from "node:http";

export interface CurlAnswer {
  readonly status: number;
  readonly body: string;
}

/**
 * Knows `-X` (also glued to its value), `-H`, `-d` (with the content type that curl gives it), `--data-binary`, `-i`, `-s` and single quotes, and throws an `Error` for any other
 * option, so that a command it cannot carry out is no success.
 */
export function curl(command: string): Promise<CurlAnswer> {
  const [program, ...words] = splitWords(command);
  if (program !== "curl") throw new Error(`not a curl command: ${command}`);
  let method: string | undefined;
  let body: string | undefined;
  let url: string | undefined;
  const headers: Record<string, string> = {};
  for (let word = words.shift(); word !== undefined; word = words.shift()) {
    if (word === "-i" || word === "-s") continue;
    if (!word.startsWith("-")) {
      url = word;
      continue;
    }
    const [, glued] = /^-X(.+)$/.exec(word) ?? [];
    if (glued !== undefined) {
      method = glued;
      continue;
    }
    const value = words.shift();
    if (value === undefined) throw new Error(`${word} has no value in: ${command}`);
    if (word === "-X") method = value;
    else if (word === "--data-binary") body = value;
    else if (word === "-d") {
      // As curl does.
      body = value.replace(/[\r\n]/g, "");
      headers["content-type"] ??= "application/x-www-form-urlencoded";
    } else if (word === "-H") {
      const [, name, content] = /^([^:]+):\s*(.*)$/.exec(value) ?? [];
      if (name === undefined || content === undefined) throw new Error(`bad header: ${value}`);
      headers[name] = content;
    } else throw new Error(`option ${word} is not known here: ${command}`);
  }
  if (url === undefined) throw new Error(`no URL in: ${command}`);
  return send(
    /^https?:/.test(url) ? url : `http://${url}`,
    method ?? (body === undefined ? "GET" : "POST"),
    headers,
    body,
  );
}

function send(
  url: string,
  method: string,
  headers: Readonly<Record<string, string>>,
  body: string | undefined,
): Promise<CurlAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<CurlAnswer>();
  const outgoing = request(url, { method, headers, agent: false }, (answer) => {
    let text = "";
    answer.setEncoding("utf8");
    answer.on("data", (chunk: string) => {
      text += chunk;
    });
    answer.once("error", reject);
    answer.once("end", () => resolve({ status: answer.statusCode ?? 0, body: text }));
  });
  outgoing.once("error", reject);
  outgoing.end(body);
  return promise;
}

/** Words of a shell command without expansions; a quoted part may stand inside a word. */
function splitWords(command: string): string[] {
  return [...command.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ""));
}
