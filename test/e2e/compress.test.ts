/** The plugin that compresses answers, in a whole gateway: what clients get, piece by piece. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { finished } from "node:stream/promises";
import { brotliDecompressSync, createGunzip, gunzipSync, zstdDecompressSync } from "node:zlib";
import { expect } from "chai";
import { until } from "../support/conditions.ts";
import { consulKinds } from "../support/consul.ts";
import { eventually } from "../support/registered.ts";
import { Scene } from "./scene.ts";

const host = "compress.example";
const text = Array.from({ length: 4_000 }, (_, line) => `line ${line} of a text\n`).join("");
const decoders: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  br: brotliDecompressSync,
  gzip: gunzipSync,
  zstd: zstdDecompressSync,
};
const [kind] = consulKinds();

describe("the compress plugin", function () {
  this.timeout(180_000);
  let scene: Scene;
  let origin: Server;
  /** Ends the running stream of events. */
  let next: () => void = () => {};

  before(async () => {
    if (kind === undefined) throw new Error("there is no Consul");
    scene = await Scene.open(kind);
    await scene.start({ workers: 1 });
    origin = createServer({ keepAliveTimeout: 120_000 }, (asked, response) => {
      const { pathname, searchParams } = new URL(asked.url ?? "/", "http://origin");
      for (const [name, value] of searchParams) response.setHeader(name, value);
      if (!response.hasHeader("content-type")) response.setHeader("content-type", "text/plain");
      if (pathname === "/events") {
        response.write("data: first\n\n");
        next = () => response.end("data: last\n\n");
      } else if (pathname === "/short") response.end("short");
      else if (pathname === "/streamed") {
        for (let at = 0; at < text.length; at += 10_000)
          response.write(text.slice(at, at + 10_000));
        response.end();
      } else if (pathname === "/none") response.writeHead(304).end();
      else if (pathname === "/cut") {
        response.write(text);
        next = () => response.destroy();
      } else response.setHeader("content-length", Buffer.byteLength(text)).end(text);
    });
    origin.listen(0, "127.0.0.1");
    await once(origin, "listening");
    const { port } = origin.address() as AddressInfo;
    await scene.writes.put("upstreams/texts", { servers: [{ host: "127.0.0.1", port }] });
    await scene.writes.put(`hosts/${host}`, {
      plugins: [{ compress: {} }],
      paths: { "/": "texts" },
    });
    await scene.gateway.caughtUp();
  });
  after(async () => {
    origin?.closeAllConnections();
    origin?.close();
    await scene?.close();
  });

  async function open(path: string, accept?: string, method = "GET"): Promise<IncomingMessage> {
    const headers = accept === undefined ? { host } : { host, "accept-encoding": accept };
    const port = scene.gateway.httpPort;
    const asked = request({ host: "127.0.0.1", port, path, method, headers, agent: false });
    asked.end();
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    return answer;
  }

  for (const [coding, decode] of Object.entries(decoders)) {
    for (const path of ["/whole", "/streamed"]) {
      it(`compresses ${path} with ${coding} for a client that asks for it`, async () => {
        const answer = await open(path, coding);
        expect(answer.headers).to.include({ "content-encoding": coding, vary: "Accept-Encoding" });
        expect(answer.headers).to.not.have.property("content-length");
        const bytes = await buffer(answer);
        expect(decode(bytes).toString()).to.equal(text);
        expect(bytes.length).to.be.below(text.length / 3);
      });
    }
  }

  it("passes each piece of a stream on before the next one comes", async () => {
    const answer = await open("/events?content-type=text/event-stream", "gzip");
    expect(answer.headers).to.include({ "content-encoding": "gzip" });
    const plain = answer.pipe(createGunzip());
    let said = "";
    plain.setEncoding("utf8").on("data", (piece: string) => {
      said += piece;
    });
    await until("the first piece has come", () => said === "data: first\n\n", {
      describe: () => said,
    });
    next();
    await finished(plain);
    expect(said).to.equal("data: first\n\ndata: last\n\n");
  });

  it("tells a client of HEAD what GET would have", async () => {
    const answer = await open("/whole", "br", "HEAD");
    expect(answer.headers).to.include({ "content-encoding": "br", vary: "Accept-Encoding" });
    expect(answer.headers).to.not.have.property("content-length");
    expect((await buffer(answer)).length).to.equal(0);
  });

  it("weakens a strong tag, keeps what varies already, and takes no ranges", async () => {
    const answer = await open('/whole?etag="x"&accept-ranges=bytes&vary=Origin', "gzip");
    expect(answer.headers).to.include({ etag: 'W/"x"', vary: "Origin, Accept-Encoding" });
    expect(answer.headers).to.not.have.property("accept-ranges");
    expect(gunzipSync(await buffer(answer)).toString()).to.equal(text);
  });

  const untouched: readonly (readonly [why: string, path: string, accept: string | undefined])[] = [
    ["the client does not ask for it", "/whole", undefined],
    ["the client refuses it", "/whole", "gzip;q=0"],
    ["the answer is short", "/short?content-length=5", "gzip"],
    ["its media type is not one of those", "/whole?content-type=image/png", "gzip"],
    ["it is encoded already", "/whole?content-encoding=x-own", "gzip"],
    ["the origin forbids it", "/whole?cache-control=public,%20no-transform", "gzip"],
    ["it is a part of something", "/whole?content-range=bytes%200-9/100", "gzip"],
  ];
  for (const [why, path, accept] of untouched) {
    it(`leaves an answer alone when ${why}`, async () => {
      const answer = await open(path, accept);
      const encoding = answer.headers["content-encoding"];
      expect(encoding).to.equal(path.includes("content-encoding") ? "x-own" : undefined);
      const body = (await buffer(answer)).toString();
      expect(body).to.equal(path.startsWith("/short") ? "short" : text);
      expect(answer.headers["content-length"]).to.equal(String(body.length));
    });
  }

  it("has nothing to do for an answer without content", async () => {
    const answer = await open("/none", "gzip");
    expect(answer.statusCode).to.equal(304);
    expect(answer.headers).to.not.have.property("content-encoding");
  });

  it("cuts an answer off whose origin breaks off, and goes on", async () => {
    const answer = await open("/cut", "gzip");
    await once(answer, "data");
    next();
    const outcome = await buffer(answer).then(
      () => "whole",
      () => "cut",
    );
    expect(outcome).to.equal("cut");
    expect(gunzipSync(await buffer(await open("/whole", "gzip"))).toString()).to.equal(text);
  });

  it("serves on while clients go away in the middle", async () => {
    for (let at = 0; at < 300; at += 1) (await open("/streamed", "br")).destroy();
    // More than may be compressed at once: none of them is still counted, once the worker has seen that they went.
    await eventually("the next answer is compressed again", async () => {
      const answer = await open("/whole", "gzip");
      expect(answer.headers).to.include({ "content-encoding": "gzip" });
      expect(gunzipSync(await buffer(answer)).toString()).to.equal(text);
    });
  });
});
