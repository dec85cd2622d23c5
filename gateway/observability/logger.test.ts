import { expect } from "chai";
import { createLogger } from "./logger.ts";

describe("logger", () => {
  const record = (
    log: (logger: ReturnType<typeof createLogger>) => void,
    secrets: string[] = [],
  ) => {
    const lines: string[] = [];
    log(createLogger({ name: "test", level: "info", secrets, write: (line) => lines.push(line) }));
    return lines;
  };

  it("writes one line of JSON for each record, from its level on", () => {
    const lines = record((log) => {
      log.debug({ a: 1 }, "not this");
      log.info({ a: 1 }, "one\nline");
    });
    expect(lines).to.have.length(1);
    expect(lines[0]).to.match(/^[^\n]+\n$/);
    expect(JSON.parse(lines[0] ?? "")).to.include({ name: "test", a: 1, msg: "one\nline" });
  });

  it("hides tokens by their field, and credentials in headers", () => {
    const [line = ""] = record((log) =>
      log.info(
        { token: "t0ken", headers: { "X-Consul-Token": "t0ken", Accept: "*/*" } },
        "asked Consul",
      ),
    );
    expect(line).not.to.contain("t0ken");
    expect(JSON.parse(line).headers.Accept).to.equal("*/*");
  });

  it("hides a known secret wherever it shows, also inside an error", () => {
    const secret = 'p"ss-word';
    const error = Object.assign(new Error(`no answer to ?token=${secret}`), { code: "ECONNRESET" });
    const [line = ""] = record((log) => log.error({ err: error }, `tried ${secret}`), [secret]);
    expect(line).not.to.contain("ss-word");
    const { err, msg } = JSON.parse(line);
    expect(msg).to.equal("tried [hidden]");
    expect(err).to.include({ code: "ECONNRESET", message: "no answer to ?token=[hidden]" });
  });

  it("leaves out what a client hung on an error", () => {
    const error = Object.assign(new Error("refused"), { request: { authorization: "Basic abc" } });
    const [line = ""] = record((log) => log.error({ err: error }, "failed"));
    expect(line).not.to.contain("Basic abc");
  });
});
