import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { expect } from "chai";
import { Outlet, type Sender } from "./outlet.ts";
import { WriteTurn } from "./write-turn.ts";

describe("what a connection of HTTP/2 writes", () => {
  let near: Socket;
  let far: Socket;
  let outlet: Outlet;

  beforeEach(async () => {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    near = connect(typeof address === "object" ? (address?.port ?? 0) : 0, "127.0.0.1");
    [far] = (await once(server, "connection")) as [Socket];
    server.close();
    outlet = new Outlet(near, new WriteTurn(), false);
  });

  afterEach(() => {
    near.destroy();
    far.destroy();
  });

  it("a sender that is taken out of the list has no turn", () => {
    const turns: string[] = [];
    const [first, gone, last] = ["first", "gone", "last"].map(
      (name): Sender => ({ isQueued: false, sendNext: () => turns.push(name) }),
    );
    if (!first || !gone || !last) throw new Error("three were made");
    outlet.window = 0;
    for (const sender of [first, gone, last]) outlet.queue(sender);
    outlet.unqueue(gone);
    outlet.unqueue(gone);
    outlet.openWindow(1_000);
    outlet.flush();
    expect(turns).to.deep.equal(["first", "last"]);
    expect([first, gone, last].map(({ isQueued }) => isQueued)).to.deep.equal([
      false,
      false,
      false,
    ]);
  });

  it("what a sender writes when it ends the connection arrives", async () => {
    const sender: Sender = {
      isQueued: false,
      sendNext: () => {
        outlet.out.text("the last frame");
        outlet.end();
      },
    };
    outlet.queue(sender);
    outlet.flush();
    const read: Buffer[] = [];
    for await (const chunk of far) read.push(chunk as Buffer);
    expect(Buffer.concat(read).toString()).to.equal("the last frame");
  });
});
