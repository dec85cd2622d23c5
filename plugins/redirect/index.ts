/** Sends clients elsewhere instead of asking a peer. */
import type { Plugin } from "../plugin.ts";
import type { RedirectOptions } from "./schema.ts";

/** Stands for the request's path. */
const pathMark = "$path";

export const redirect: Plugin<RedirectOptions> = {
  name: "redirect",
  summary: "Answers with another URL that the client is to ask.",
  create: ({ status, to }) => {
    const hasQuery = to.includes("?");
    return {
      onRequest: (exchange) => {
        const { path, query } = exchange;
        // The asterisk of OPTIONS becomes `/`.
        const asked = path.startsWith("/") ? path : "/";
        const place = to.replace(pathMark, () => asked);
        const location = hasQuery || query === "" ? place : `${place}?${query}`;
        exchange.answer({ status, headers: { location }, body: "" });
        return false;
      },
    };
  },
};
