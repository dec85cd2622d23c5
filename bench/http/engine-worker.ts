/** The engine with the least handler that forwards: one peer, nothing recorded. Prints its port. */
import { Peer } from "../../gateway/engine/engine.ts";
import { createHttp1Engine } from "../../gateway/engine/index.ts";

const peer = new Peer("127.0.0.1", Number(process.argv[2]));
const engine = createHttp1Engine<null>({
  handler: {
    onRequest: () => {},
    onPick: (exchange) => (exchange.tried(peer) ? null : peer),
    onPeerFailure: () => {},
    onResponse: () => {},
    onEnd: () => {},
  },
  idPrefix: "bench",
  onError: (error) => {
    throw error;
  },
});
const { port } = await engine.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 });
process.stdout.write(`port ${port}\n`);
