import { expect } from "chai";
import fastify from "fastify";
import type { Operations } from "../../releases/index.ts";
import { createJournal } from "./journal.ts";
import { openApi } from "./openapi.ts";
import { type AdminOptions, addRoutes } from "./server.ts";

interface Described {
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, object>>;
}

/** As clients get it. */
const description = JSON.parse(JSON.stringify(openApi())) as {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
};
const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

describe("the description of the admin API", () => {
  it("has what the API answers, and nothing that it does not know", async () => {
    const server = fastify();
    const routes = new Set<string>();
    server.addHook("onRoute", ({ method, url }) => {
      for (const one of [method].flat())
        if (one !== "HEAD") routes.add(`${one.toLowerCase()} ${url}`);
    });
    // None of these is asked: what is looked at are the routes.
    addRoutes(
      server,
      {} as AdminOptions,
      createJournal({} as AdminOptions["log"], () => 0),
    );
    await server.ready();
    const described = operations.map(({ path, method }) => `${method} ${routeOf(path)}`);
    expect(routes).to.deep.equal(new Set(described));
    await server.close();
  });

  it("has every action behind a name, and no other", async () => {
    const known = new Set(operations.map(({ path, method }) => `${method} ${path}`));
    const server = fastify();
    const subjectOf = () => {
      throw new Error("it is known");
    };
    const options = {
      operations: { subjectOf } as unknown as Operations,
      knownPeers: { find: subjectOf } as unknown as AdminOptions["knownPeers"],
    } as AdminOptions;
    addRoutes(
      server,
      options,
      createJournal({} as AdminOptions["log"], () => 0),
    );
    for (const word of ["upstream", "host"]) {
      const peer = "/peer/{address}";
      for (const action of [
        ...["", "/history", "/test", "/rollback", "/other", "/history/other"],
        ...[peer, `${peer}/drain`, `${peer}/enable`, `${peer}/weight`, `${peer}/drain/now`],
      ]) {
        for (const method of ["get", "put", "post", "delete"] as const) {
          const path = `/${word}/{name}${action}`;
          const url = path.replace("{name}", "shop").replace("{address}", "10.0.0.1:80");
          const { body } = await server.inject({
            method: method.toUpperCase() as "GET",
            url,
            ...(url.endsWith("weight") ? { payload: { weight: 1 } } : {}),
          });
          const isKnown = body.includes("it is known");
          expect(isKnown, `${method} ${path}`).to.equal(known.has(`${method} ${path}`));
        }
      }
    }
    await server.close();
  });

  it("names each operation once, each parameter of its path, and resolves every reference", () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).to.equal(ids.length);
    for (const { path, operation } of operations) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const named = operation.parameters.filter((one) => one.in === "path");
      expect(named.map(({ name }) => name)).to.deep.equal(inPath);
      expect(Object.keys(operation.responses), path).to.include.members(["200", "403"]);
    }
    const text = JSON.stringify(description);
    for (const [, reference = ""] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      const target = reference
        .split("/")
        .reduce<unknown>(
          (value, key) => (value as Readonly<Record<string, unknown>> | undefined)?.[key],
          description,
        );
      expect(target, reference).to.be.an("object");
    }
  });

  it("takes the queries from the schemas that check them", () => {
    const { parameters } = description.paths["/explain"]?.get ?? { parameters: [] };
    expect(parameters.map(({ name }) => name)).to.include.members(["method", "url", "header"]);
    const { parameters: ofHosts } = description.paths["/hosts"]?.get ?? { parameters: [] };
    expect(ofHosts.map(({ name }) => name)).to.deep.equal(["name"]);
  });
});

function routeOf(path: string): string {
  return path.replace(/\{name\}.*/, "*").replace("{kind}", ":kind");
}
