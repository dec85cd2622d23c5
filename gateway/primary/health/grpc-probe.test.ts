/** Checks of servers that are made with gRPC's own library, and of some that are not. */
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { expect } from "chai";
import { TestAuthority } from "../../../test/support/certificates.ts";
import { startProtocolPeer } from "../../../test/support/protocol-pairs.ts";
import { Peer } from "../../engine/engine.ts";
import type { HealthCheck } from "../../model/index.ts";
import type { Verdict } from "./judges.ts";
import { createProbe } from "./probe.ts";

const probe = createProbe({ authorities: () => null, pair: () => null });

const same = (bytes: Buffer) => bytes;
const health = {
  check: {
    path: "/grpc.health.v1.Health/Check",
    ...{ requestStream: false, responseStream: false },
    ...{ requestSerialize: same, requestDeserialize: same },
    ...{ responseSerialize: same, responseDeserialize: same },
  },
} as const satisfies ServiceDefinition;

function ask(port: number, service?: string): Promise<Verdict> {
  const check: HealthCheck = {
    type: "grpc",
    ...{ http: null, timeoutMs: 20_000, intervalMs: 1_000, rise: 1, fall: 1 },
    ...(service === undefined ? {} : { service }),
  };
  return new Promise((resolve) => void probe(new Peer("127.0.0.1", port), check, resolve));
}

describe("a check by gRPC", () => {
  it("goes by what the server says of itself or of a service", async () => {
    const server = new Server();
    const said: Readonly<Record<string, number>> = { "": 1, "shop.Cart": 1, "shop.Stock": 2 };
    server.addService(health, {
      check({ request }: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) {
        const state = said[request.subarray(2).toString()];
        if (state === undefined) callback({ code: status.NOT_FOUND, details: "no such service" });
        else callback(null, Buffer.from([8, state]));
      },
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    try {
      expect(await ask(port)).to.equal(null);
      expect(await ask(port, "shop.Cart")).to.equal(null);
      expect(await ask(port, "shop.Stock")).to.equal("it is NOT_SERVING");
      expect(await ask(port, "shop.Nobody")).to.equal('it answered with gRPC\'s status "5"');
    } finally {
      server.forceShutdown();
    }
  });

  it("fails where the answer is not gRPC's", async () => {
    const peer = await startProtocolPeer("h2c", "x", new TestAuthority().issue({ names: ["x"] }));
    try {
      expect(await ask(peer.server.port)).to.equal("the answer is not of gRPC's health");
    } finally {
      peer.close();
    }
  });
});
