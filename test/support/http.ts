/**
 * Raw-socket tools for tests of HTTP: scripted origins, byte-exact clients and test gateways, held
 * by a bench that closes them after each test and checks that nothing was left behind.
 */
import { openClient, type RawClient } from "./client.ts";
import { expectIdle, type GatewayOptions, startGateway, type TestGateway } from "./engine.ts";
import { type Http2Connection, type Http2Options, openHttp2 } from "./http2/connection.ts";
import { type Origin, type OriginOptions, type OriginScript, startOrigin } from "./origin.ts";

export { type ClientAnswer, chunked, openClient, RawClient, requestBytes } from "./client.ts";
export { settled, until } from "./conditions.ts";
export {
  expectIdle,
  type GatewayOptions,
  startGateway,
  type TestExchange,
  TestGateway,
} from "./engine.ts";
export { fieldOf, fieldsOf } from "./message.ts";
export {
  answerBytes,
  Origin,
  OriginConnection,
  type OriginOptions,
  type OriginRequest,
  ok,
  startOrigin,
} from "./origin.ts";

/** Everything that one test opened. */
export interface TestBench {
  origin(script: OriginScript, options?: OriginOptions): Promise<Origin>;
  /** A gateway in front of the given origins, in the order in which they are tried. */
  gateway(origins: Origin | readonly Origin[], options?: GatewayOptions): Promise<TestGateway>;
  client(gateway: TestGateway, options?: Parameters<typeof openClient>[1]): Promise<RawClient>;
  /** A connection whose frames the test writes by hand. */
  http2(gateway: TestGateway, options?: Http2Options): Promise<Http2Connection>;
  /** Runs when the test is over, before the sockets are closed. */
  later(close: () => void | Promise<void>): void;
}

/**
 * Call inside `describe`. After each test: clients close, every engine must come to rest by itself
 * (no exchange, no connection, no request counted on a retired peer), and no origin may have seen a
 * byte that is not part of a canonical request. `engine` is used by gateways that name no other; `open` makes clients.
 */
export function useTestBench(
  engine?: GatewayOptions["engine"],
  open: typeof openClient = openClient,
): TestBench {
  let origins: Origin[] = [];
  let gateways: { readonly gateway: TestGateway; readonly origins: readonly Origin[] }[] = [];
  let clients: (RawClient | Http2Connection)[] = [];
  let closers: (() => void | Promise<void>)[] = [];

  async function closeAll(): Promise<void> {
    for (const close of closers) await close();
    for (const client of clients) client.close();
    for (const { gateway, origins } of gateways) {
      for (const origin of origins) gateway.engine.retire(origin.peer);
    }
    try {
      for (const { gateway } of gateways) await expectIdle(gateway.engine);
      const busy = origins.filter((origin) => origin.listening && origin.peer.inFlight !== 0);
      if (busy.length > 0) throw new Error(`in flight: ${busy.map((o) => o.peer.inFlight)}`);
    } finally {
      for (const { gateway } of gateways) await gateway.engine.drain(0);
      for (const origin of origins) await origin.close();
    }
  }

  afterEach(async () => {
    const violations = origins.flatMap((origin) => origin.violations);
    try {
      await closeAll();
    } finally {
      origins = [];
      gateways = [];
      clients = [];
      closers = [];
    }
    if (violations[0]) throw violations[0];
  });

  return {
    async origin(script, options) {
      const origin = await startOrigin(script, options);
      origins.push(origin);
      return origin;
    },
    async gateway(given, options = {}) {
      const behind = Array.isArray(given) ? (given as readonly Origin[]) : [given as Origin];
      const peers = behind.map((origin) => origin.peer);
      const chosen = engine === undefined ? {} : { engine };
      const gateway = await startGateway({ peers, ...chosen, ...options });
      gateways.push({ gateway, origins: behind });
      return gateway;
    },
    async client(gateway, options) {
      const client = await open(gateway.port, options);
      clients.push(client);
      return client;
    },
    async http2(gateway, options) {
      const client = await openHttp2(gateway.port, options);
      clients.push(client);
      return client;
    },
    later(close) {
      closers.push(close);
    },
  };
}
