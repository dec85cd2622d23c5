/** More scripts are in use than the worker keeps ready: each request waits for its turn, and none is denied. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { Scene } from "./scene.ts";

const [kind] = consulKinds();
if (kind === undefined) throw new Error("there is no Consul of any kind");

describe("more scripts than isolates", function () {
  this.timeout(180_000);
  let scene: Scene;
  before(async () => {
    scene = await Scene.open(kind);
    await scene.start({ flags: ["--script-isolates", "2"], workers: 1 });
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  it("answer every request, though each has to make an isolate", async () => {
    const hosts = Array.from({ length: 10 }, (_, at) => `crowded${at}.example`);
    const text = (host: string) => `export default () => respond({ body: "${host}" });`;
    await scene.writes.putAll(hosts.map((host) => [`scripts/${host}`, text(host)]));
    await scene.gateway.statusWhen("all scripts are live", ({ scripts }) =>
      hosts.every((host) => scripts.some((one) => one.host === host && one.version !== null)),
    );
    await scene.gateway.caughtUp();
    for (let round = 0; round < 15; round += 1) {
      const answers = await Promise.all(hosts.map((host) => scene.gateway.request({ host })));
      expect(answers.map(({ body }) => body)).to.deep.equal(hosts);
    }
  });
});
