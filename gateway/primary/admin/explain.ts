/** The admin API of `explain`: `GET /explain?method=&url=&header=`. */
import type { FastifyInstance } from "fastify";
import * as z from "zod";
import { fieldValue } from "../../engine/message/grammar.ts";
import type { Explainer } from "../explain.ts";
import { failure } from "./failures.ts";

const mostHeaders = 100;
const header = z
  .string()
  .max(8_192)
  .regex(/^[^:]+:/, "is not NAME: VALUE");

export const explainQuery = z.strictObject({
  method: z.string().max(64).default("GET"),
  url: z.string({ error: "is missing, or given more than once" }).max(16_384),
  header: z.union([header.transform((one) => [one]), z.array(header).max(mostHeaders)]).default([]),
  listener: z.string().min(1).max(64).default("http"),
  client: z.union([z.ipv4(), z.ipv6()]).default("127.0.0.1"),
});

const usage =
  "the query has url, and may have method, header (NAME: VALUE, several times), listener (its name) and client (an address)";

export function addExplain(server: FastifyInstance, explainer: Pick<Explainer, "explain">): void {
  server.get("/explain", async (request, reply) => {
    const read = explainQuery.safeParse(request.query);
    if (!read.success)
      return reply.code(400).send(failure(400, "bad_request", problem(read.error)));
    const { method, url, header: lines, listener, client } = read.data;
    const headers = lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), fieldValue(line, colon, line.length)] as const;
    });
    return explainer.explain({ method, url, headers, listener, clientAddress: client });
  });
}

function problem(error: z.ZodError): string {
  const [first] = error.issues;
  return `${first?.path.join(".") || "the query"}: ${first?.message ?? "is wrong"}; ${usage}`;
}
