/** A whole gateway whose clients speak HTTP/2, with Node's own client: routes, scripts and the access log are the same. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

const [embedded] = consulKinds();
if (embedded === undefined) throw new Error("there is no Consul to test with");

interface Http2Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function ask(session: ClientHttp2Session, path: string, authority: string): Promise<Http2Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Http2Answer>();
  const stream = session.request({ ":path": path, ":authority": authority });
  let head: IncomingHttpHeaders = {};
  let body = "";
  stream.setEncoding("latin1");
  stream.on("response", (headers) => {
    head = headers;
  });
  stream.on("data", (piece: string) => {
    body += piece;
  });
  stream.on("error", reject);
  stream.on("end", () => resolve({ status: Number(head[":status"]), headers: head, body }));
  return promise;
}

describe("a gateway whose clients speak HTTP/2", function () {
  this.timeout(40_000);
  let scene: Scene;

  before(async () => {
    scene = await Scene.open(embedded);
  });
  afterEach(() => scene.endTest());
  after(() => scene?.close());

  function open(port: number): ClientHttp2Session {
    const session = connect(`http://127.0.0.1:${port}`);
    // What fails is seen by the requests.
    session.on("error", () => {});
    scene.later(() => session.destroy());
    return session;
  }

  it("routes, rewrites and records as for HTTP/1.1, many requests at once", async () => {
    const directory = await mkdtemp(join(tmpdir(), "sluice-http2-"));
    scene.later(() => rm(directory, { recursive: true }));
    const log = join(directory, "access.log");
    const gateway = await scene.start({ flags: ["--access-log", log], workers: 1 });
    const session = open(gateway.httpPort);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => ask(session, `/n/${n}?q=1`, homeHost)),
    );
    for (const [n, { status, body }] of answers.entries()) {
      expect(status).to.equal(200);
      expect(body).to.contain(`/n/${n}?q=1`);
    }
    await scene.writes.put(`scripts/${homeHost}`, `export default () => deny(403, "closed");`);
    await eventually("the script decides", async () => {
      expect((await ask(session, "/", homeHost)).status).to.equal(403);
    });
    await scene.writes.remove(`scripts/${homeHost}`);
    expect((await ask(session, "/", "nobody.example")).status).to.equal(404);
    await eventually("the log is written", async () => {
      expect(await readFile(log, "utf8"))
        .to.contain("/n/49")
        .and.contain("nobody.example");
    });
  });

  it("ends them by GOAWAY when it stops, and loses none that it took", async () => {
    const gateway = await scene.start({ workers: 1 });
    const session = open(gateway.httpPort);
    expect((await ask(session, "/", homeHost)).status).to.equal(200);
    let code = -1;
    session.on("goaway", (given) => {
      code = given;
    });
    gateway.signal("SIGTERM");
    await until("it is closed", () => session.closed && session.destroyed);
    expect(code).to.equal(0);
  });

  it("speaks HTTP/1.1 alone when it is told to", async () => {
    const gateway = await scene.start({ flags: ["--http2", "off"], workers: 1 });
    const session = open(gateway.httpPort);
    let failed = false;
    session.on("error", () => {
      failed = true;
    });
    await until("it is refused", () => failed || session.closed);
  });
});
