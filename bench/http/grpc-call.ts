/** The call of the benchmark of gRPC, by gRPC's own client. */
import { Client, credentials } from "@grpc/grpc-js";
import { host } from "./processes.ts";

export const echoPath = "/bench.Echo/One";
export const message = Buffer.from("twenty bytes of text");

/** The message as HTTP carries it: not compressed, its length, itself. */
export function framed(): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Resolves when the call has come back with its status through this port, which may take a while to open. */
export async function callOnce(port: number): Promise<void> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    "grpc.default_authority": host,
  });
  const same = (bytes: Buffer) => bytes;
  const deadline = Date.now() + 15_000;
  try {
    await new Promise<void>((resolve, reject) =>
      client.waitForReady(deadline, (error) => (error ? reject(error) : resolve())),
    );
    const answer = await new Promise<Buffer | undefined>((resolve, reject) =>
      // The error is the status, where it is not OK.
      client.makeUnaryRequest(echoPath, same, same, message, { deadline }, (error, came) =>
        error === null ? resolve(came) : reject(error),
      ),
    );
    if (answer?.equals(message) !== true)
      throw new Error("the call came back with another message");
  } finally {
    client.close();
  }
}
