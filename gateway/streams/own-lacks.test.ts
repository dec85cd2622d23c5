import { type ChildProcess, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import { expect } from "chai";
import { eventually } from "../../test/support/registered.ts";
import type { ToExhausted } from "../engine/fixtures/held-descriptors.ts";
import type { FromExhausted } from "./fixtures/exhausted-process.ts";

const entry = join(import.meta.dirname, "fixtures", "exhausted-process.ts");

describe("datagrams for which the gateway lacks a descriptor", () => {
  let child: ChildProcess | null = null;
  const sockets: Socket[] = [];
  afterEach(() => {
    child?.kill();
    for (const socket of sockets.splice(0)) socket.close();
  });

  function open(): Socket {
    const socket = createSocket("udp4");
    sockets.push(socket);
    return socket;
  }

  it("are lost, and no peer is blamed for them", async () => {
    const origin = open();
    const { port: peer } = origin.bindSync({ address: "127.0.0.1", port: 0 });
    origin.on("message", (bytes, from) => origin.send(bytes, from.port, from.address));
    const limited = ["-c", 'ulimit -n 80; exec "$0" "$@"', process.execPath, entry, String(peer)];
    const process_ = spawn("sh", limited, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    child = process_;
    const told = async (message: ToExhausted) => {
      const answer = once(process_, "message");
      process_.send(message);
      const [done]: FromExhausted[] = await answer;
      return done?.type === "done" ? done.failures : [];
    };
    const [first]: FromExhausted[] = await once(process_, "message");
    const port = first?.type === "listening" ? first.port : 0;
    await told("take");
    open().send("1", port, "127.0.0.1");
    const failures = await eventually("the session has failed", async () => {
      const list = await told("take");
      if (list.length === 0) throw new Error("no session has failed yet");
      return list;
    });
    expect(failures).to.deep.equal([`${peer} no_resources`]);
    await told("give");
    const client = open();
    const answer = once(client, "message");
    client.send("2", port, "127.0.0.1");
    expect(String((await answer)[0])).to.equal("2");
  });
});
