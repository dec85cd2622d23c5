/** Sets, adds and removes header fields of requests to peers, and of the answers that come from them. */
import type { Plugin, PluginPhases } from "../plugin.ts";
import type { HeadersOptions } from "./schema.ts";

export const headers: Plugin<HeadersOptions> = {
  name: "headers",
  summary: "Sets, adds and removes header fields of requests and answers.",
  create: ({ request, response }): PluginPhases => ({
    ...(request === undefined ? {} : { onRequest: changeRequest(request) }),
    ...(response === undefined ? {} : { onResponse: changeAnswer(response) }),
  }),
};

function changeRequest({
  set,
  remove,
}: NonNullable<HeadersOptions["request"]>): NonNullable<PluginPhases["onRequest"]> {
  const replaced = Object.entries(set);
  return (exchange) => {
    for (const name of remove) exchange.removeHeader(name);
    for (const [name, value] of replaced) exchange.setHeader(name, value);
    return true;
  };
}

function changeAnswer({
  set,
  add,
  remove,
}: NonNullable<HeadersOptions["response"]>): NonNullable<PluginPhases["onResponse"]> {
  const replaced = Object.entries(set);
  const added = Object.entries(add);
  return (exchange) => {
    for (const name of remove) exchange.removeResponseHeader(name);
    for (const [name, value] of replaced) exchange.setResponseHeader(name, value);
    for (const [name, value] of added) exchange.addResponseHeader(name, value);
  };
}
