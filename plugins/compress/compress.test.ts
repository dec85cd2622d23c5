import { expect } from "chai";
import { createHttpEngine } from "../../gateway/engine/index.ts";
import {
  answerBytes,
  fieldOf,
  requestBytes,
  until,
  useTestBench,
} from "../../test/support/http.ts";
import { createPhases, Slots } from "../index.ts";
import type { PluginTools } from "../plugin.ts";
import { compressSchema } from "./schema.ts";

describe("compressed answers", () => {
  const bench = useTestBench(createHttpEngine);

  it("share the slots of their worker, whichever host they are of, and give them back", async () => {
    const slots = new Slots(1);
    const tools: PluginTools = {
      addresses: () => () => false,
      clientOf: (address) => address,
      limit: () => ({ take: () => 0, ask: () => {} }),
      slots,
    };
    const create = () =>
      createPhases({ name: "compress", options: compressSchema.parse({}) }, tools);
    const uses = new Map([
      ["a.test", create()],
      ["b.test", create()],
    ]);
    const head = ["Content-Type: text/plain", "Content-Length: 2000"];
    const origin = await bench.origin(({ method, target }, connection) => {
      const body = method === "HEAD" ? "" : "x".repeat(target === "/stalls" ? 10 : 2_000);
      connection.send(answerBytes("200 OK", head, body));
    });
    const gateway = await bench.gateway(origin, {
      hooks: { onResponse: (exchange) => uses.get(exchange.host)?.onResponse?.(exchange) },
    });
    const ask = (line: string, host: string) =>
      requestBytes(line, [`Host: ${host}`, "Accept-Encoding: gzip"]);
    const coding = async (line: string, host: string) =>
      fieldOf(await (await bench.client(gateway)).request(ask(line, host)), "content-encoding");

    const stalled = await bench.client(gateway);
    stalled.send(ask("GET /stalls", "a.test"), "GET");
    await until("its answer began", () => stalled.receivedBytes > 0);
    expect(await coding("GET /", "b.test")).to.equal(undefined);
    stalled.close();
    await until("its slot is free", () => slots.areLeft);
    // An answer without a body takes none, and one that is over leaves it.
    expect(await coding("HEAD /", "a.test")).to.equal("gzip");
    expect(await coding("GET /", "b.test")).to.equal("gzip");
    expect(await coding("GET /", "a.test")).to.equal("gzip");
  });

  it("are none where the connection goes over to another protocol", async () => {
    const slots = new Slots(1);
    const use = createPhases(
      { name: "compress", options: compressSchema.parse({ min_bytes: 0 }) },
      {
        addresses: () => () => false,
        clientOf: String,
        limit: () => ({ take: () => 0, ask: () => {} }),
        slots,
      },
    );
    const fields = [
      "Content-Type: text/plain",
      'ETag: "a"',
      "Upgrade: other",
      "Connection: upgrade",
    ];
    const origin = await bench.origin((_, connection) =>
      connection.send(answerBytes("101 Switching Protocols", fields)),
    );
    const gateway = await bench.gateway(origin, {
      hooks: { onResponse: (exchange) => use.onResponse?.(exchange) },
    });
    const client = await bench.client(gateway);
    const answer = await client.request(
      requestBytes("GET /", ["Accept-Encoding: gzip", "Connection: upgrade", "Upgrade: other"]),
    );
    expect(answer.status).to.equal(101);
    expect(fieldOf(answer, "etag")).to.equal('"a"');
    for (const name of ["content-encoding", "vary"])
      expect(fieldOf(answer, name), name).to.equal(undefined);
    expect(slots.areLeft).to.equal(true);
  });

  it("are compressed once, though a phase between two uses takes what says so from the answer", async () => {
    const slots = new Slots(2);
    const tools: PluginTools = {
      addresses: () => () => false,
      clientOf: String,
      limit: () => ({ take: () => 0, ask: () => {} }),
      slots,
    };
    const use = createPhases({ name: "compress", options: compressSchema.parse({}) }, tools);
    const origin = await bench.origin((_, connection) =>
      connection.send(
        answerBytes(
          "200 OK",
          ["Content-Type: text/plain", "Content-Length: 2000"],
          "x".repeat(2_000),
        ),
      ),
    );
    const gateway = await bench.gateway(origin, {
      hooks: {
        onResponse: (exchange) => {
          use.onResponse?.(exchange);
          exchange.removeResponseHeader("Content-Encoding");
          use.onResponse?.(exchange);
        },
      },
    });
    const client = await bench.client(gateway);
    const answer = await client.request(
      requestBytes("GET /", ["Host: a.test", "Accept-Encoding: gzip"]),
    );
    expect(answer.status).to.equal(200);
    expect(fieldOf(answer, "content-encoding")).to.equal(undefined);
    await until("the slots are free", () => slots.areLeft);
  });
});
