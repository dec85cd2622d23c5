import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { expect } from "chai";
import { until } from "../../test/support/conditions.ts";
import { type LastWords, lastWordsDescriptor } from "../model/index.ts";
import { type Hearing, hearLastWords } from "./last-words.ts";

const out = { reason: "it hangs", methods: null, paths: ["/a"], onError: "deny" } as const;
const words: LastWords = { host: "a.example.com", version: "1".repeat(64), out };

describe("the last words of a worker", () => {
  let child: ChildProcess;
  let heard: LastWords[];
  let troubles: string[];

  /** A process that writes these lines, then runs `end`. */
  function run(lines: readonly unknown[], end: string): Hearing {
    const text = lines
      .map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`)
      .join("");
    const code = `require("fs").writeSync(${lastWordsDescriptor}, ${JSON.stringify(text)}); ${end}`;
    child = spawn(process.execPath, ["-e", code], {
      stdio: ["ignore", "ignore", "ignore", "ignore", "pipe"],
    });
    heard = [];
    troubles = [];
    return hearLastWords(
      child,
      (said) => heard.push(said),
      (message) => troubles.push(message),
    );
  }
  afterEach(() => child.kill("SIGKILL"));

  const crash = "process.kill(process.pid, 'SIGABRT'); setInterval(() => {}, 1000)";

  it("name the script that it cannot get out of, once", async () => {
    run([{ inside: words }, words], crash);
    await once(child, "close");
    expect(heard).to.deep.equal([words]);
    expect(troubles).to.deep.equal([]);
  });

  it("name the script that it was in when it crashed", async () => {
    run([{ inside: { ...words, host: "b.example.com" } }, { inside: words }], crash);
    await once(child, "close");
    const reason = "a worker was ended by SIGABRT while it was in it";
    expect(heard).to.deep.equal([{ ...words, out: { ...out, reason } }]);
  });

  it("name no script that it came out of, or that it was in when it ended otherwise", async () => {
    run([{ inside: words }, { inside: null }], crash);
    await once(child, "close");
    expect(heard).to.deep.equal([]);
    run([{ inside: words }], "process.exit(1)");
    await once(child, "close");
    expect(heard).to.deep.equal([]);
  });

  it("name the script that it was in when it was killed for saying nothing", async () => {
    const hearing = run([{ inside: words }, "?"], "setInterval(() => {}, 1000)");
    await until("all is heard", () => troubles.length > 0);
    hearing.blame("it said nothing");
    child.kill("SIGKILL");
    await once(child, "close");
    expect(heard).to.deep.equal([{ ...words, out: { ...out, reason: "it said nothing" } }]);
  });

  it("name no script when it was killed from here", async () => {
    run([{ inside: words }, "?"], "setInterval(() => {}, 1000)");
    await until("all is heard", () => troubles.length > 0);
    child.kill("SIGKILL");
    await once(child, "close");
    expect(heard).to.deep.equal([]);
    expect(troubles).to.deep.equal(["what it wrote last cannot be read"]);
  });
});
