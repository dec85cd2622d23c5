/** A gateway that is told to forward what clients write still decides by the path's normal form. */
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import type { Echo } from "../support/echo-origin.ts";
import { openClient, requestBytes } from "../support/http.ts";
import { Scene } from "./scene.ts";

const [consul] = consulKinds();

describe("a gateway with --forwarded-path raw", function () {
  this.timeout(300_000);
  let scene: Scene;

  before(async () => {
    if (consul === undefined) throw new Error("no Consul");
    scene = await Scene.open(consul);
    await scene.start({ workers: 1, flags: ["--forwarded-path", "raw"] });
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  it("matches the normal form and forwards what was written", async () => {
    const { writes } = scene;
    await writes.put("upstreams/paths", { servers: [scene.home.server] });
    await writes.put("hosts/paths.example", { paths: { "/admin": "paths" } });
    const workers = await scene.workers();
    await workers.all("it is served", { host: "paths.example", path: "/admin" }, (answer) =>
      expect(answer.status).to.equal(200),
    );
    const client = await openClient(scene.gateway.httpPort);
    scene.later(() => client.close());
    const ask = (target: string) =>
      client.request(requestBytes(`GET ${target}`, ["Host: paths.example"]));
    for (const target of ["//x/../%61dmin?b=//", "/admin/%2e/c", "/admin//"]) {
      const answer = await ask(target);
      expect(answer.status, target).to.equal(200);
      expect((JSON.parse(answer.body.toString()) as Echo).url).to.equal(target);
    }
    expect((await ask("/admin/../x")).status).to.equal(404);
    expect((await ask("/admin%2fx")).body.toString()).to.contain("encoded_slash");
  });
});
