/** The admin API of what workers know: `GET /upstreams` and `GET /hosts`. */
import type { FastifyInstance } from "fastify";
import * as z from "zod";
import type { HostView } from "../host-view.ts";
import type { UpstreamView } from "../upstream-view.ts";
import { failure } from "./failures.ts";

export interface Views {
  readonly upstreams: Pick<UpstreamView, "show">;
  readonly hosts: Pick<HostView, "show">;
  /** Upstream documents by their names, as Slardar lists them; `null`: all. */
  readonly asSlardar: (name: string | null) => object;
}

export const viewQuery = z.strictObject({
  name: z.string().min(1).max(253).optional(),
});

export function addViews(server: FastifyInstance, views: Views): void {
  const missing = {
    upstreams: "there is no upstream document and no service in use of this name",
    hosts: "no document, script or service decides requests for this host",
  };
  for (const what of ["upstreams", "hosts"] as const) {
    server.get(`/${what}`, async (request, reply) => {
      const read = viewQuery.safeParse(request.query);
      if (!read.success) {
        const message = "the query may have a name of at most 253 characters, and nothing else";
        return reply.code(400).send(failure(400, "bad_request", message));
      }
      const given = read.data.name ?? null;
      // Names of documents have a case; hosts have none.
      const name = what === "hosts" ? (given?.toLowerCase() ?? null) : given;
      const shown = await views[what].show(name);
      if (shown !== null && what === "upstreams") {
        // Ours first: a document may be named as they are.
        return { ...views.asSlardar(name), ...shown };
      }
      if (shown !== null) return shown;
      return reply.code(404).send(failure(404, "not_found", `${name}: ${missing[what]}`));
    });
  }
}
