/** Answers that break RFC 9112 are not passed on: the client gets 502 and the connection is thrown away. */
import { expect } from "chai";
import { describeEngines } from "../support/engines.ts";
import { ok, requestBytes } from "../support/http.ts";
import { lenient } from "./differences.ts";

const BODY = "5\r\nhello\r\n0\r\n\r\n";

/** An answer of these header lines. */
function answer(lines: string, body = BODY): string {
  return `HTTP/1.1 200 OK\r\n${lines}\r\n\r\n${body}`;
}

/** An answer of this status line. */
function status(statusLine: string): string {
  return `${statusLine}\r\nContent-Length: 0\r\n\r\n`;
}

const rows: readonly (readonly [name: string, bytes: string])[] = [
  ["length and chunked", answer("Content-Length: 5\r\nTransfer-Encoding: chunked")],
  ["chunked and length", answer("Transfer-Encoding: chunked\r\nContent-Length: 5")],
  ["two different lengths", answer("Content-Length: 5\r\nContent-Length: 6", "hello!")],
  ["two equal lengths", answer("Content-Length: 5\r\nContent-Length: 5", "hello")],
  ["a list of lengths", answer("Content-Length: 5, 6", "hello!")],
  ["a signed length", answer("Content-Length: +5", "hello")],
  ["a negative length", answer("Content-Length: -1", "hello")],
  ["a hexadecimal length", answer("Content-Length: 0x5", "hello")],
  ["an empty length", answer("Content-Length:", "hello")],
  ["a length of letters", answer("Content-Length: five", "hello")],
  ["a length beyond 2^64", answer("Content-Length: 18446744073709551621", "hello")],
  ["chunked twice", answer("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")],
  ["chunked twice in one line", answer("Transfer-Encoding: chunked, chunked")],
  ["gzip before chunked", answer("Transfer-Encoding: gzip, chunked")],
  ["identity", answer("Transfer-Encoding: identity", "hello")],
  ["an unknown coding", answer("Transfer-Encoding: cow", "hello")],
  ["an empty coding", answer("Transfer-Encoding:", "hello")],
  [
    "chunked in HTTP/1.0",
    `HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n${BODY}`,
  ],
  [
    "both framings in an answer that has no body",
    `HTTP/1.1 204 No Content\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
  ],
  ["a space before a colon", answer("Transfer-Encoding : chunked")],
  ["a tab before a colon", answer("Content-Length\t: 5", "hello")],
  ["a folded line", answer("X-A: b\r\n c\r\nContent-Length: 5", "hello")],
  ["a folded first line", answer(" X-A: b\r\nContent-Length: 5", "hello")],
  ["a bare LF after a header", answer("X-A: b\nContent-Length: 5", "hello")],
  ["a bare LF after the status line", `HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\nhello`],
  ["a bare CR in a value", answer("X-A: b\rc\r\nContent-Length: 5", "hello")],
  ["a NUL in a value", answer("X-A: b\x00c\r\nContent-Length: 5", "hello")],
  ["a control in a value", answer("X-A: \x1b\r\nContent-Length: 5", "hello")],
  ["a space in a name", answer("X A: b\r\nContent-Length: 5", "hello")],
  ["a line without a colon", answer("nothing\r\nContent-Length: 5", "hello")],
  ["an empty name", answer(": b\r\nContent-Length: 5", "hello")],
  ["HTTP/2.0", status("HTTP/2.0 200 OK")],
  ["HTTP/1.2", status("HTTP/1.2 200 OK")],
  ["HTTP/0.9", status("HTTP/0.9 200 OK")],
  ["HTTP in lower case", status("http/1.1 200 OK")],
  ["RTSP", status("RTSP/1.0 200 OK")],
  ["ICE", status("ICE/1.0 200 OK")],
  ["a bare CR before the status line", `\r${status("HTTP/1.1 200 OK")}`],
  ["a bare LF before the status line", `\n${status("HTTP/1.1 200 OK")}`],
  ["a space before the status line", ` ${status("HTTP/1.1 200 OK")}`],
  ["101 without Upgrade", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
  ["101 without Upgrade, and an answer", `HTTP/1.1 101 Switching Protocols\r\n\r\n${ok()}`],
  ["another protocol", status("ICY 200 OK")],
  ["no status", status("HTTP/1.1 OK")],
  ["a status of two digits", status("HTTP/1.1 20 OK")],
  ["a status of four digits", status("HTTP/1.1 2000 OK")],
  ["a status of zeros", status("HTTP/1.1 000 OK")],
  ["a status above 599", status("HTTP/1.1 600 OK")],
  ["a signed status", status("HTTP/1.1 +20 OK")],
  ["two spaces before the status", status("HTTP/1.1  200 OK")],
  ["a NUL in the reason", status("HTTP/1.1 200 O\x00K")],
  ["a bare CR in the reason", status("HTTP/1.1 200 O\rK")],
  ["an empty line before the status line", `\r\n${status("HTTP/1.1 200 OK")}`],
  ["a page without a head", "<html>\r\n\r\n<body>hello</body></html>\r\n\r\n"],
  ["the banner of another service", "SSH-2.0-OpenSSH_9.2\r\n\r\n"],
  [
    "101 that nobody asked for",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
  ],
  [
    "an ambiguous answer after an interim one",
    `HTTP/1.1 100 Continue\r\n\r\n${answer("Content-Length: 1\r\nContent-Length: 2")}`,
  ],
];

describeEngines("ambiguous answers", (bench, kind) => {
  for (const [name, bytes] of rows) {
    for (const how of ["whole", "byte by byte"] as const) {
      const reason = kind === "reference" ? lenient.get(name) : undefined;
      if (reason !== undefined) {
        it(`differs: takes ${name}, ${how} (${reason})`, async () => {
          const origin = await bench.origin((_, connection) =>
            connection.sendPieces(how === "whole" ? [bytes] : [...bytes]),
          );
          const client = await bench.client(await bench.gateway(origin));
          expect((await client.request(requestBytes("GET /"))).status).to.equal(200);
        });
        continue;
      }

      it(`answers 502 for ${name}, ${how}`, async () => {
        const origin = await bench.origin(async (request, connection) => {
          if (request.target === "/next") connection.send(ok("next"));
          else await connection.sendPieces(how === "whole" ? [bytes] : [...bytes]);
        });
        const gateway = await bench.gateway(origin);
        const client = await bench.client(gateway);
        const answered = await client.request(requestBytes("GET /bad"));
        expect(answered.status).to.equal(502);
        await (await origin.connection()).whenClosed();
        const outcome = await gateway.outcome();
        expect(outcome.failures.map((failure) => failure.code)).to.deep.equal(["bad_response"]);
        expect(outcome.tries, "it is not asked for again").to.equal(1);
        const next = client.ended ? await bench.client(gateway) : client;
        expect((await next.request(requestBytes("GET /next"))).body.toString()).to.equal("next");
        expect(origin.connections).to.have.length(2);
      });
    }
  }

  it("answers 502 when the origin speaks with bare LFs only and closes", async () => {
    const origin = await bench.origin((_, connection) =>
      connection.end("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
    );
    const client = await bench.client(await bench.gateway(origin));
    expect((await client.request(requestBytes("POST /", ["Content-Length: 0"]))).status).to.equal(
      502,
    );
  });
});
