import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { engineKinds } from "../../../test/support/engines.ts";
import { openClient, type RawClient, requestBytes, until } from "../../../test/support/http.ts";
import type { FromExhausted } from "../fixtures/exhausted-process.ts";
import type { ToExhausted } from "../fixtures/held-descriptors.ts";
import { connectFailure } from "./connect-failure.ts";

const entry = join(import.meta.dirname, "..", "fixtures", "exhausted-process.ts");

describe("what the gateway itself lacks", () => {
  for (const kind of engineKinds()) {
    it(`is said as that, and costs no other peer a try (engine ${kind})`, async () => {
      const origins = [createServer(), createServer()];
      for (const origin of origins) {
        origin.on("request", (_, response) => response.end("fine"));
        await once(origin.listen(0, "127.0.0.1"), "listening");
      }
      const ports = origins.map((origin) => String((origin.address() as AddressInfo).port));
      const limited = ["-c", 'ulimit -n 80; exec "$0" "$@"', process.execPath, entry, kind];
      const child = spawn("sh", [...limited, ...ports], {
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      });
      const told: FromExhausted[] = [];
      child.on("message", (message: FromExhausted) => told.push(message));
      try {
        await until("it listens", () => told.length > 0);
        const [first] = told;
        const client = await openClient(first?.type === "listening" ? first.port : 0);
        await lacks(child, client, told);
        client.close();
      } finally {
        child.kill();
        for (const origin of origins) origin.close();
      }
    });
  }

  async function lacks(
    child: ChildProcess,
    client: RawClient,
    told: readonly FromExhausted[],
  ): Promise<void> {
    const done = () => told.filter(({ type }) => type === "done").length;
    const ask = async (message: ToExhausted) => {
      const before = done();
      child.send(message);
      await until("it is done", () => done() > before);
    };
    const request = requestBytes("GET /", ["Accept: application/json"]);
    // The client connects before the last descriptor is gone.
    await ask("give");
    await ask("take");
    const answer = await client.request(request);
    expect(answer.status).to.equal(503);
    const { error, message } = JSON.parse(answer.body.toString());
    expect(error).to.equal("no_resources");
    expect(message).to.include("descriptor").and.not.include("peer");
    // The process tells of failures by another way than the answer's, and of this behind them.
    await ask("give");
    const failures = told.filter(({ type }) => type === "failure");
    expect(failures).to.have.length(1);
    expect(failures[0]).to.include({ code: "no_resources" });
    expect(JSON.stringify(failures[0])).to.include("ulimit -n");
    expect((await client.request(request)).status).to.equal(200);
  }

  it("is told from what a peer's address lacks", () => {
    const failure = (code: string, address: string) =>
      connectFailure("peer:80", Object.assign(new Error(code), { code, address })).code;
    for (const code of ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL", "EADDRINUSE"]) {
      expect(failure(code, "10.0.0.1"), code).to.equal("no_resources");
    }
    expect(failure("EADDRNOTAVAIL", "2001:db8::1")).to.equal("connect_failed");
    expect(failure("ECONNREFUSED", "10.0.0.1")).to.equal("connect_failed");
    expect(connectFailure("peer:80", null).code).to.equal("connect_failed");
  });
});
