/** The engine with the least handler that forwards: one peer, nothing recorded. Prints its port. */
import { Peer, Target } from "../../gateway/engine/engine.ts";
import { createHttpEngine } from "../../gateway/engine/index.ts";

const target = new Target(new Peer("127.0.0.1", Number(process.argv[2])));
const engine = createHttpEngine<null>({
  handler: {
    onRequest: () => {},
    onPick: (exchange) => (exchange.tried(target.peer) ? null : target),
    onResponse: () => {},
    onTryEnd: () => {},
    onEnd: () => {},
  },
  idPrefix: "bench",
  onError: (error) => {
    throw error;
  },
});
const { port } = await engine.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 });
process.stdout.write(`port ${port}\n`);
