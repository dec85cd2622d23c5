/**
 * A script that floods the log, and one that fails with each call: other hosts are answered, each request is in the
 * access log, and what is left out of the gateway's own log is counted there, to the last line.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { consulKinds } from "../support/consul.ts";
import { eventually } from "../support/registered.ts";
import { homeHost, Scene } from "./scene.ts";

const [kind] = consulKinds();
if (kind === undefined) throw new Error("there is no Consul of any kind");

const [loud, broken] = ["loud.example", "broken.example"];
const linesOfCall = 20;
const scripts = {
  [loud]: `export default () => {
    for (let at = 0; at < ${linesOfCall}; at++) log.info("flood".padEnd(1000, "."));
    return deny(418);
  };`,
  [broken]: "export default () => { null.x; };",
};
const calls = 300;

describe("floods of what scripts log", function () {
  this.timeout(300_000);
  let scene: Scene;
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "sluice-log-"));
    scene = await Scene.open(kind);
  });
  after(async () => {
    await scene?.close();
    await rm(directory, { recursive: true });
  });

  it("take no answer and no record of the access log from others, and are counted", async () => {
    const accessLog = join(directory, "access.log");
    // A machine that is busy is no reason for the loud script to fail.
    const flags = ["--access-log", accessLog, "--script-timeout", "1s"];
    const gateway = await scene.start({ flags, workers: 2 });
    for (const [host, text] of Object.entries(scripts))
      await scene.writes.put(`scripts/${host}`, text);
    await gateway.statusWhen("both are live", ({ scripts: all }) =>
      [loud, broken].every((host) => all.some((one) => one.host === host && one.version !== null)),
    );
    await gateway.caughtUp();

    let others = 0;
    const flood = async (host: string, status: number) => {
      for (let call = 0; call < calls; call += 1) {
        expect((await gateway.request({ host })).status).to.equal(status);
      }
    };
    let isOver = false;
    const floods = Promise.all([flood(loud, 418), flood(broken, 500)]).finally(() => {
      isOver = true;
    });
    while (!isOver) {
      expect((await gateway.request({ host: homeHost })).status).to.equal(200);
      others += 1;
    }
    await floods;

    await eventually("each request is in the access log", async () => {
      const records = (await readFile(accessLog, "utf8")).split("\n").filter((line) => line !== "");
      const of = (host: string) => records.filter((record) => record.includes(`"${host}"`)).length;
      expect([of(loud), of(broken), of(homeHost)]).to.deep.equal([calls, calls, others]);
    });
    // A worker tells the rest when it ends.
    expect(await gateway.stop()).to.equal(0);
    const about = (host: string) => gateway.records.filter(({ script }) => script === host);
    const leftOut = (host: string, pattern: RegExp) =>
      about(host).reduce((sum, { msg }) => sum + Number(pattern.exec(msg)?.[1] ?? 0), 0);
    const written = about(loud).filter(({ msg }) => msg.startsWith("flood")).length;
    const dropped = leftOut(loud, /left out of the log in a second: (\d+) records/);
    expect(written + dropped).to.equal(calls * linesOfCall);
    expect(dropped, "of loud lines").to.be.above(0);
    const errors = about(broken).filter(({ msg }) => /TypeError/.test(msg)).length;
    const droppedErrors = leftOut(broken, /left out of the log in a second: (\d+) errors/);
    expect(errors + droppedErrors).to.equal(calls);
    expect(errors, "of errors").to.be.above(0);
  });
});
