/** Changes the path that goes to the peer. The rule that was chosen for the original path stays. */
import { comparablePath, hasPrefix, normalisePrefix } from "../../gateway/engine/message/path.ts";
import type { Plugin } from "../plugin.ts";
import type { PathOptions } from "./schema.ts";

export const path: Plugin<PathOptions> = {
  name: "path",
  summary: "Takes segments away from the beginning of the path, and puts others before it.",
  create: ({ strip = "/", prepend = "/" }) => {
    const taken = normalisePrefix(strip);
    const put = prepend.endsWith("/") ? prepend.slice(0, -1) : prepend;
    return {
      onRequest: (exchange) => {
        const asked = comparablePath(exchange.path);
        // The asterisk of OPTIONS is no path.
        if (!asked.startsWith("/")) return true;
        const rest = hasPrefix(asked, taken) ? asked.slice(taken.length) : exchange.path;
        exchange.path = put + (rest === "" ? "/" : rest);
        return true;
      },
    };
  },
};
