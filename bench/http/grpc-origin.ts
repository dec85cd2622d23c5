/** A server of gRPC's own library with one call, which gives back what it is sent. Prints its port. */
import { Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import { echoPath } from "./grpc-call.ts";

const same = (bytes: Buffer) => bytes;
const service = {
  one: {
    path: echoPath,
    ...{ requestStream: false, responseStream: false },
    ...{ requestSerialize: same, requestDeserialize: same },
    ...{ responseSerialize: same, responseDeserialize: same },
  },
} as const satisfies ServiceDefinition;

const server = new Server();
server.addService(service, {
  one: ({ request }: { request: Buffer }, done: (error: null, answer: Buffer) => void) =>
    done(null, request),
});
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  process.stdout.write(`port ${port}\n`);
});
