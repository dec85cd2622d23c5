/** The contract of checks that run: TTL, HTTP and TCP. */
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { createServer as createTcpServer, type Server } from "node:net";
import { expect } from "chai";
import { freePort } from "../support/ports.ts";
import { eventually } from "../support/registered.ts";
import { type ConsulApi, type Contract, type Parsed, unique } from "./api.ts";

interface CheckShown extends Parsed {
  readonly Status: string;
  readonly Output: string;
}

export const checksContract: Contract = (consul) => {
  const closers: (() => Promise<unknown>)[] = [];

  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  async function listen(server: Server, port = 0): Promise<number> {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    closers.push(async () => {
      if (server.listening) await once(server.close(), "close");
    });
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("not a TCP socket");
    return address.port;
  }

  /** Registers a service with one check and takes it out after the test. */
  async function registerWith(check: object): Promise<string> {
    const name = unique("checked");
    await consul().write("/v1/agent/service/register", { Name: name, Port: 1, Check: check });
    closers.push(() => consul().put(`/v1/agent/service/deregister/${name}`));
    return name;
  }

  it("expires a TTL check that nobody reports to, and passes it again on a report", async () => {
    const name = await registerWith({ TTL: "1s", Status: "passing" });
    const expired = await reaches(consul(), name, "critical");
    expect(expired.Output).to.equal("TTL expired");
    // Reported again and again: a test that is held up may look when a second has passed.
    await eventually("it passes", async () => {
      await consul().write(`/v1/agent/check/pass/service:${name}?note=back`);
      const [check] = await consul().read<CheckShown[]>(`/v1/health/checks/${name}`);
      expect(check).to.include({ Status: "passing", Output: "back" });
    });
    const again = await reaches(consul(), name, "critical");
    expect(again.Output).to.equal("TTL expired (last output before timeout follows): back");
  });

  it("takes every kind of report of a TTL check", async () => {
    const name = await registerWith({ TTL: "1h" });
    const id = `service:${name}`;
    await reaches(consul(), name, "critical");
    await consul().write(`/v1/agent/check/pass/${id}`);
    await reaches(consul(), name, "passing");
    await consul().write(`/v1/agent/check/warn/${id}?note=hot`);
    expect((await reaches(consul(), name, "warning")).Output).to.equal("hot");
    await consul().write(`/v1/agent/check/fail/${id}`);
    await reaches(consul(), name, "critical");
    await consul().write(`/v1/agent/check/update/${id}`, { Status: "passing", Output: "fine" });
    expect((await reaches(consul(), name, "passing")).Output).to.equal("fine");
    const bogus = await consul().put(`/v1/agent/check/update/${id}`, { Status: "bogus" });
    expect([bogus.status, bogus.text]).to.deep.equal([400, "Invalid check status: 'bogus'"]);
    const unknown = await consul().put("/v1/agent/check/pass/nobody");
    expect(unknown.status).to.be.oneOf([500, 404]);
    expect(unknown.text).to.match(/^(CheckID|Unknown check ID) "nobody"/);
  });

  it("looks by HTTP: 2xx passes, 429 warns, the rest is critical, and the answer is the output", async () => {
    let status = 204;
    const seen: IncomingMessage[] = [];
    const port = await listen(
      createHttpServer((request, response) => {
        seen.push(request);
        response.writeHead(status).end(status === 204 ? undefined : "the body");
      }),
    );
    const name = await registerWith({
      HTTP: `http://127.0.0.1:${port}/health?full=1`,
      Method: "POST",
      Header: { "X-Probe": ["yes"] },
      Interval: "1s",
      Timeout: "30s",
    });
    await reaches(consul(), name, "passing");
    expect(seen[0]?.method).to.equal("POST");
    expect(seen[0]?.url).to.equal("/health?full=1");
    expect(seen[0]?.headers["x-probe"]).to.equal("yes");
    status = 429;
    expect((await reaches(consul(), name, "warning")).Output).to.include("the body");
    status = 500;
    const critical = await reaches(consul(), name, "critical");
    expect(critical.Output).to.include("500 Internal Server Error Output: the body");
  });

  it("finds an HTTP service critical that does not answer in time", async () => {
    const port = await listen(createHttpServer((request) => request.resume()));
    const name = await registerWith({
      HTTP: `http://127.0.0.1:${port}/`,
      Interval: "1s",
      Timeout: "200ms",
      Status: "passing",
    });
    await reaches(consul(), name, "critical");
  });

  it("looks by TCP connect", async () => {
    const server = createTcpServer((socket) => {
      socket.on("error", () => {});
      socket.end();
    });
    // Nobody else listens there when it has closed.
    const port = await listen(server, await freePort());
    const name = await registerWith({ TCP: `127.0.0.1:${port}`, Interval: "1s", Timeout: "30s" });
    const passing = await reaches(consul(), name, "passing");
    expect(passing.Output).to.equal(`TCP connect 127.0.0.1:${port}: Success`);
    await once(server.close(), "close");
    await reaches(consul(), name, "critical");
  });

  it("adds a check to a service or to the node, and takes it away", async () => {
    const name = await registerWith({ TTL: "1h", Status: "passing" });
    const id = `${name}-extra`;
    await consul().write("/v1/agent/check/register", {
      ID: id,
      Name: "extra",
      ServiceID: name,
      TTL: "1h",
    });
    const passing = `/v1/health/service/${name}?passing`;
    await consul().until<unknown[]>(passing, ({ length }) => length === 0);
    await consul().write(`/v1/agent/check/deregister/${id}`);
    await consul().until<unknown[]>(passing, ({ length }) => length === 1);

    await consul().write("/v1/agent/check/register", { Name: id, TTL: "1h" });
    await consul().until<unknown[]>(passing, ({ length }) => length === 0);
    await consul().write(`/v1/agent/check/deregister/${id}`);
    await consul().until<unknown[]>(passing, ({ length }) => length === 1);
  });

  it("refuses a check without a name, without a kind or of an unknown service", async () => {
    const expectations = [
      [{ TTL: "5s" }, [400], "Missing check name"],
      [{ Name: "n" }, [400], "Invalid check: TTL must be > 0 for TTL checks"],
      [
        { Name: "n", ServiceID: "nobody", TTL: "5s" },
        [500, 404],
        'ServiceID "nobody" does not exist',
      ],
    ] as const;
    for (const [body, statuses, text] of expectations) {
      const answer = await consul().put("/v1/agent/check/register", body);
      expect(answer.status).to.be.oneOf([...statuses]);
      expect(answer.text).to.equal(text);
    }
    const script = await consul().put("/v1/agent/check/register", {
      Name: "n",
      Args: ["/bin/true"],
      Interval: "1s",
    });
    expect(script.status).to.equal(500);
    expect(script.text).to.match(/^Scripts are disabled on this agent/);
  });
};

/** The check of a service once the catalog shows it with this status. */
async function reaches(api: ConsulApi, name: string, status: string): Promise<CheckShown> {
  const shown = await api.until<CheckShown[]>(
    `/v1/health/checks/${name}`,
    (checks) => checks[0]?.Status === status,
  );
  const [check] = shown;
  if (check === undefined) throw new Error("unreachable: there was one");
  return check;
}
