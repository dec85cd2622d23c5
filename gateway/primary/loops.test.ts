import { expect } from "chai";
import { parseUpstreamDocument } from "../documents/index.ts";
import { findLoops, listenerPlaces } from "./loops.ts";

const listener = (name: string, host: string, port: number) => ({
  name,
  // The port that was asked for; the system chose the one of the socket.
  address: { host, port: 0 },
  socket: { address: () => ({ port }) },
});

describe("upstream documents that name a listener of this gateway", () => {
  it("are a warning by key, under every name that means this machine, and no others", () => {
    const places = listenerPlaces([
      listener("http", "0.0.0.0", 8080),
      listener("inside", "127.0.0.2", 8081),
    ]);
    const servers = [
      { host: "127.0.0.1", port: 8080 },
      { host: "localhost", port: 8080 },
      { host: "127.0.0.2", port: 8081 },
      { host: "127.0.0.1", port: 8081 },
      { host: "192.0.2.1", port: 8080 },
      { host: "127.0.0.1", port: 9000 },
    ];
    const document = parseUpstreamDocument("loop", JSON.stringify({ servers }));
    const found = [...findLoops({ upstream: new Map([["loop", document]]) }, places, "p/")];
    const comesBack = (server: string, name: string) => ({
      key: "p/upstreams/loop",
      warning: `server ${server}: this gateway's listener ${name} is there, so its requests come back to the gateway`,
    });
    expect(found).to.deep.equal([
      comesBack("127.0.0.1:8080", "http"),
      comesBack("localhost:8080", "http"),
      comesBack("127.0.0.2:8081", "inside"),
    ]);
  });
});
