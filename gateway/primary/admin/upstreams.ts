/** The admin API of live state: `GET /upstreams`. */
import type { FastifyInstance, FastifyRequest } from "fastify";
import * as z from "zod";
import type { Upstreams } from "../upstreams.ts";
import { failure } from "./failures.ts";

const query = z.strictObject({ name: z.string().min(1).max(253).optional() });

export function addUpstreams(server: FastifyInstance, upstreams: Pick<Upstreams, "show">): void {
  server.get("/upstreams", async (request, reply) => {
    const name = nameIn(request);
    if (name instanceof z.ZodError) {
      const message = "of the query, only name is known, with the name of an upstream or a service";
      return reply.code(400).send(failure(400, "bad_request", message));
    }
    const shown = await upstreams.show(name);
    if (shown !== null) return shown;
    const message = `there is no upstream document and no service ${name} in use`;
    return reply.code(404).send(failure(404, "not_found", message));
  });
}

/** In lower case; `null`: none is given. */
function nameIn(request: FastifyRequest): string | null | z.ZodError {
  const read = query.safeParse(request.query);
  return read.success ? (read.data.name?.toLowerCase() ?? null) : read.error;
}
