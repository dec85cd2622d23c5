/** Checks by a datagram against real sockets. */
import { createSocket, type Socket } from "node:dgram";
import { expect } from "chai";
import { until } from "../../../test/support/conditions.ts";
import { freePort } from "../../../test/support/ports.ts";
import { parseUpstreamDocument } from "../../documents/index.ts";
import { Peer } from "../../engine/engine.ts";
import { saidInTime } from "../fixtures/patient-ask.ts";
import type { Verdict } from "./judges.ts";
import { createProbe } from "./probe.ts";

const probe = createProbe({ authorities: () => null, pair: () => null });

const parse = (check: object, more: object = {}) => {
  const servers = [{ host: "127.0.0.1", port: 1 }];
  const text = JSON.stringify({ servers, check: { type: "udp", timeout: 20, ...check }, ...more });
  const { check: read } = parseUpstreamDocument("sluice/upstreams/dns", text);
  if (read === undefined) throw new Error("no check");
  return read;
};

describe("a check by a datagram", () => {
  let server: Socket;
  let port: number;
  let answers: readonly Buffer[];
  let received: Buffer[];

  beforeEach(() => {
    received = [];
    answers = [];
    server = createSocket("udp4");
    ({ port } = server.bindSync({ address: "127.0.0.1", port: 0 }));
    server.on("message", (bytes, from) => {
      received.push(bytes);
      for (const answer of answers) server.send(answer, from.port, from.address);
    });
  });
  afterEach(() => server.close());

  const ask = (check: object, to = port): Promise<Verdict> =>
    new Promise((resolve) => void probe(new Peer("127.0.0.1", to), parse(check), resolve));

  it("sends bytes as they are written, and goes by those that come back", async () => {
    answers = [Buffer.from([0, 1, 0xfe, 2])];
    expect(await ask({ send: "\u0000a\u00ff", expect: "\u0001\u00fe" })).to.equal(null);
    expect(received).to.deep.equal([Buffer.from([0, 0x61, 0xff])]);
    const wanting = (ms: number) => ask({ expect: "well", timeout: ms / 1_000 });
    expect(await saidInTime("no answer", wanting)).to.equal("its answer is another one");
    answers = [Buffer.from("ill"), Buffer.from("well")];
    expect(await wanting(20_000)).to.equal(null);
    answers = [];
    expect(await wanting(200)).to.equal("no answer within 200 ms");
  });

  it("takes silence for well where no answer is asked for, and an unused port for ill", async () => {
    expect(await ask({ timeout: 0.1 })).to.equal(null);
    await until("it is asked", () => received.length > 0);
    expect(received).to.deep.equal([Buffer.alloc(0)]);
    answers = [Buffer.from("any")];
    expect(await ask({}), "an answer is waited for no longer").to.equal(null);
    const refused = "nobody listens on its port";
    expect(await ask({}, await freePort())).to.equal(refused);
    expect(await ask({ expect: "" }, await freePort())).to.equal(refused);
  });

  it("leaves nothing behind when it is given up", async () => {
    const giveUp = probe(new Peer("127.0.0.1", port), parse({ expect: "x" }), () => {
      throw new Error("it was given up");
    });
    await until("it is asked", () => received.length === 1);
    giveUp();
    giveUp();
    expect(await ask({ timeout: 0.1 })).to.equal(null);
  });

  it("is refused by field where it cannot be meant", () => {
    for (const [check, more, problem] of [
      [{ send: "\u0100" }, {}, "check.send: has a character that is no byte"],
      [{ type: "http", send: "x" }, {}, "check.send: goes with the type udp"],
      [{ path: "/" }, {}, "check.path: goes with the type http"],
      [{}, { tls: true }, "check.type: udp is asked in clear"],
      [{}, { typ: "udp", check: undefined }, "no check"],
    ] as const)
      if (problem === "no check") expect(parse(check, more).type).to.equal("general");
      else expect(() => parse(check, more)).to.throw(problem);
  });
});
