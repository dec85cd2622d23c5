import { fork } from "node:child_process";
import { once } from "node:events";
import { BoundSocket, connect } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { freePort } from "../../../test/support/ports.ts";
import type { Accepted } from "../fixtures/accepting-process.ts";
import { Acceptor } from "./acceptor.ts";

const entry = join(import.meta.dirname, "..", "fixtures", "accepting-process.ts");
const clients = 40;
/** The first descriptor after the usual three and the channel. */
const firstDescriptor = 4;

/** How many turns of the event loop a process needs to accept all clients that came while it stood still. */
async function turnsWith(count: number): Promise<number> {
  using socket = new BoundSocket({ host: "127.0.0.1", port: 0 });
  const { port } = socket.address();
  const descriptors = Array.from({ length: count }, (_, at) => String(firstDescriptor + at));
  const child = fork(entry, [String(clients), ...descriptors], {
    execArgv: [],
    stdio: ["pipe", "inherit", "inherit", "ipc", ...descriptors.map(() => socket.fd())],
  });
  const exited = once(child, "exit");
  await once(child, "message");
  const sockets = Array.from({ length: clients }, () => connect({ host: "127.0.0.1", port }));
  for (const client of sockets) client.on("error", () => {});
  await Promise.all(sockets.map((client) => once(client, "connect")));
  const told = once(child, "message") as Promise<[Accepted]>;
  child.stdin?.write(".");
  const [{ turns }] = await told;
  for (const client of sockets) client.destroy();
  await exited;
  return turns;
}

describe("acceptor", () => {
  it("accepts a connection a turn from each descriptor of an inherited socket", async () => {
    expect(await turnsWith(1)).to.be.at.least(clients);
    expect(await turnsWith(8)).to.be.within(clients / 8, clients / 4);
  });

  it("rejects with the socket's error, and leaves nothing open", async () => {
    const options = {
      onConnection: () => {},
      onError: () => {},
      clients: () => 0,
      peers: () => 0,
      dropIdlePeers: () => {},
    };
    const first = new Acceptor(options);
    const port = await freePort();
    await first.listen({ host: "127.0.0.1", port });
    const second = new Acceptor(options);
    const outcome = await second.listen({ host: "127.0.0.1", port }).then(
      () => "listens",
      (error: NodeJS.ErrnoException) => error.code,
    );
    expect(outcome).to.equal("EADDRINUSE");
    first.close();
    expect(await second.listen({ host: "127.0.0.1", port })).to.include({ port });
    second.close();
  });
});
