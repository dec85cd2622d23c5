/** A gateway with few file descriptors: clients wait until there is one, and no peer is blamed for it. */
import { expect } from "chai";
import { startEmbeddedAgent } from "../support/consul.ts";
import { openClient, requestBytes, until } from "../support/http.ts";
import { homeHost, Scene } from "./scene.ts";

/** More than the gateway has descriptors for, each with one of a peer's. */
const count = 240;
const descriptors = 180;

describe("a gateway with few descriptors", function () {
  this.timeout(240_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open({ name: "embedded agent", start: startEmbeddedAgent });
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  for (const engine of ["http1", "reference"]) {
    it(`leaves new connections in the queue, and serves all in their turn (${engine})`, async () => {
      const { home } = scene;
      const gateway = await scene.start({
        workers: 1,
        flags: ["--engine", engine, "--drain-timeout", "1s"],
        descriptors,
      });
      for (let round = 0; round < 2; round += 1) {
        const clients = await Promise.all(
          Array.from({ length: count }, () => openClient(gateway.httpPort)),
        );
        scene.later(() => {
          for (const client of clients) client.close();
        });
        const request = requestBytes("GET /wait", [`Host: ${homeHost}`, "Connection: close"]);
        for (const client of clients) client.send(request, "GET");
        const short = () => gateway.records.some(({ msg }) => msg.includes("ulimit -n"));
        await until("the gateway says what it lacks", short);
        await until("some are served", () => home.waiting > 0);
        expect(home.waiting).to.be.lessThan(descriptors / 2);
        const answers = Promise.all(clients.map((client) => client.answer()));
        let isOver = false;
        const end = () => {
          isOver = true;
        };
        answers.then(end, end);
        await until(
          "all are answered",
          () => {
            home.release();
            return isOver;
          },
          { deadlineMs: 60_000, describe: () => [home.waiting, gateway.records.slice(-5)] },
        );
        const statuses = new Set((await answers).map(({ status }) => status));
        expect([...statuses]).to.deep.equal([200]);
      }
      const blamed = gateway.records.filter(
        ({ peer, code }) => peer !== undefined || code !== undefined,
      );
      expect(blamed).to.deep.equal([]);
      expect((await gateway.request({ host: homeHost })).status).to.equal(200);
    });
  }
});
